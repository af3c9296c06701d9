//! The face from outside: requests into the router, over a real Portreeve in a folder of its own.

mod access;
mod accounts;
mod aggregates;
mod batches;
mod bookkeeping;
mod conditions;
mod decisions;
mod filters;
mod hostile;
mod insight;
mod mail;
mod names;
mod nested;
mod oracles;
mod overflow;
mod pages;
mod paging;
mod records;
mod relations;
mod rights;
mod routes;
mod same_answer;
mod sessions;
mod shares;
mod subscribe;
mod world;
