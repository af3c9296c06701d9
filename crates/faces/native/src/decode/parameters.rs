//! Query parameters: each known, each at most once.

use std::borrow::Cow;

use portreeve_http::pairs;

use crate::error::Failure;

/// The parameters of one request.
pub(crate) struct Parameters<'q> {
    known: &'static [&'static str],
    values: Vec<Option<Cow<'q, str>>>,
}

impl<'q> Parameters<'q> {
    /// Reads a query string that may have these parameters and no others.
    pub fn read(query: &'q str, known: &'static [&'static str]) -> Result<Self, Failure> {
        let mut values = vec![];
        if !query.is_empty() {
            values.resize(known.len(), None);
            for pair in pairs(query) {
                let (name, value) = pair?;
                let Some(place) = known.iter().position(|known| *known == name) else {
                    return Err(Failure::unknown_parameter(&name, known));
                };
                if values[place].replace(value).is_some() {
                    let message = "stands twice; write it once";
                    return Err(Failure::parameter(known[place], message));
                }
            }
        }
        Ok(Self { known, values })
    }

    /// The value of a parameter, where it was sent. Each is asked for once.
    pub fn take(&mut self, name: &'static str) -> Option<Cow<'q, str>> {
        let place = self.known.iter().position(|known| *known == name)?;
        self.values.get_mut(place)?.take()
    }

    /// `true` or `false`; false where it was not sent.
    pub fn take_flag(&mut self, name: &'static str) -> Result<bool, Failure> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Failure::parameter(name, "is 'true' or 'false'")),
        }
    }

    /// A whole number up to `most`.
    pub fn take_number(&mut self, name: &'static str, most: u64) -> Result<Option<u64>, Failure> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number <= most);
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(Failure::parameter(
                name,
                format!("is a whole number from 0 to {most}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["limit", "total", "filter"];

    #[test]
    fn parameters_are_known_and_stand_once() {
        let mut read = Parameters::read("limit=7&total=true&filter=a+%3D+1", KNOWN)
            .ok()
            .unwrap();
        assert_eq!(read.take_number("limit", 10).ok(), Some(Some(7)));
        assert_eq!(read.take_flag("total").ok(), Some(true));
        assert_eq!(read.take("filter").as_deref(), Some("a = 1"));
        for bad in [
            "limt=1",
            "limit=1&limit=1",
            "limit=%",
            "LIMIT=1",
            "limit[]=1",
            "=1",
        ] {
            assert!(Parameters::read(bad, KNOWN).is_err(), "{bad}");
        }
        for bad in [
            "limit=",
            "limit=-1",
            "limit=+1",
            "limit=11",
            "limit=1e1",
            "limit=99999999999999999999",
        ] {
            let read = Parameters::read(bad, KNOWN);
            assert!(
                read.ok().unwrap().take_number("limit", 10).is_err(),
                "{bad}"
            );
        }
    }
}
