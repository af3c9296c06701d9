//! The face from outside: requests into the router, over a real Portreeve in a folder of its own.

mod access;
mod accounts;
mod aggregates;
mod bookkeeping;
mod filters;
mod hostile;
mod pages;
mod paging;
mod records;
mod relations;
mod routes;
mod same_answer;
mod subscribe;
mod world;
