//! Mail and what is done by it, over a mail server that can fail, on both databases.

mod address;
mod invitations;
mod limits;
mod password;
mod sending;
mod templates;
mod throttle;
mod world;
