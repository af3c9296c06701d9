//! Persistence: the only crate that writes SQL or knows a driver
