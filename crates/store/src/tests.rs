//! Tests of what is not to be seen from outside: conditions as SQL.

mod conditions;
mod golden;
mod parity;
mod patterns;
