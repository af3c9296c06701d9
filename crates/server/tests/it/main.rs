//! The binary as people run it: every command, what it prints, its exit code, and what it says when something is wrong.

mod access;
mod accounts;
mod audit;
mod backup;
mod backup_postgres;
mod bindings;
mod can;
mod chinook;
mod config;
mod database;
mod doctor;
mod existing;
mod export;
mod guide;
mod insight;
mod kill;
mod mail;
mod program;
mod records;
mod serve;
mod shares;
