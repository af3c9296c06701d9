//! What is asked about rights: accounts with their bindings, and whose eyes somebody looks through.

use portreeve_gate::{Authorized, CredentialFacts, Simulate, Simulated, WhoCan};

use crate::store::{asked, written};
use crate::work::insight;
use crate::{Store, StoreError};

/// An active account as one of many.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number: the order they come in.
    pub number: i64,
    /// For the gate.
    pub facts: CredentialFacts,
}

impl Store {
    /// Active accounts in order of number, after that one.
    pub async fn members(
        &self,
        _who: &Authorized<WhoCan>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        asked!(self, connection => insight::members(connection, after, limit))
    }

    /// Writes down who looks through whose eyes, then hands them out.
    pub async fn simulate(&self, simulate: Authorized<Simulate>) -> Result<Simulated, StoreError> {
        let simulated = simulate.operation().simulated().clone();
        written!(self, Shared, writing => insight::simulate(writing, &simulate))?;
        Ok(simulated)
    }
}
