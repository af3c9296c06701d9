//! The binary as people run it: every command, what it prints, its exit code, and what it says when something is wrong.

mod access;
mod accounts;
mod audit;
mod backup;
mod backup_postgres;
mod can;
mod chinook;
mod config;
mod database;
mod existing;
mod export;
mod insight;
mod kill;
mod mail;
mod program;
mod records;
mod serve;
