//! The operations, in process on a data folder of their own, with a clock that stands still and seeded entropy.

mod access;
mod account;
mod check;
mod collections;
mod decisions;
mod doctor;
mod faults;
mod home;
mod load;
mod mail;
mod me;
mod records;
mod registration;
mod registry;
mod rights;
mod sessions;
mod setup;
mod sign_in;
mod throttle;
mod user_changes;
mod users;
