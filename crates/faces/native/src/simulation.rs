//! `Portreeve-Simulate`: a read through another one's eyes.

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use portreeve_service::{Caller, Eyes, Shared, Simulated, Simulation};

use crate::error::Failure;

/// Says through whose eyes a request is to be answered.
static SIMULATE: HeaderName = HeaderName::from_static("portreeve-simulate");

/// Says through whose eyes it was.
static SIMULATED: HeaderName = HeaderName::from_static("portreeve-simulated");

/// Whose eyes an answer depends on.
pub(crate) enum Sight {
    /// The caller's own.
    Own(Caller),
    /// Those that a share opens.
    Share(Shared),
    /// Another one's.
    Other(Simulated),
}

impl<'a> From<&'a Sight> for Eyes<'a> {
    fn from(sight: &'a Sight) -> Self {
        match sight {
            Sight::Own(caller) => caller.into(),
            Sight::Share(shared) => shared.into(),
            Sight::Other(simulated) => simulated.into(),
        }
    }
}

/// Through whose eyes a request was answered, for the header of its answer.
#[derive(Clone, Default)]
pub(crate) struct Label(Arc<OnceLock<HeaderValue>>);

impl Label {
    /// Remembers them.
    pub fn set(&self, simulated: &Simulated) {
        if let Ok(value) = HeaderValue::from_str(simulated.label()) {
            // A request is answered through one pair of eyes.
            let _ = self.0.set(value);
        }
    }

    /// Tells them.
    pub fn tell(&self, response: &mut Response) {
        if let Some(value) = self.0.get() {
            response.headers_mut().insert(&SIMULATED, value.clone());
        }
    }
}

/// Whether a request asks for another one's eyes, whatever it says of whose.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    headers.contains_key(&SIMULATE)
}

/// Refuses to do anything but look through another one's eyes: what changes something is done as oneself or not at all.
pub(crate) fn check(headers: &HeaderMap, looks: bool) -> Result<(), Failure> {
    if is_wanted(headers) && !looks {
        return Err(Failure::Simulation(
            "goes with reads of records, aggregates, collections and of /v1/me alone; nothing was done",
        ));
    }
    Ok(())
}

/// Whose eyes a request asks for.
pub(crate) fn wanted(headers: &HeaderMap) -> Result<Option<Simulation>, Failure> {
    let mut values = headers.get_all(&SIMULATE).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let once = values.next().is_none();
    let text = std::str::from_utf8(value.as_bytes()).ok().filter(|_| once);
    let simulation = text.and_then(Simulation::parse);
    simulation.map(Some).ok_or(Failure::Simulation(
        "is 'user:' with an id, key, name, address or number, 'role:' with keys between commas, or 'anonymous', once",
    ))
}
