//! The store from outside: through the gate, as the service uses it.

mod accounts;
mod backup;
mod catalog;
mod opening;
mod reads;
mod world;
mod writes;
