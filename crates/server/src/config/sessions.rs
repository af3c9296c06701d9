//! `[sessions]`, and the same settings for other faces under `[faces.NAME]`: how long sessions hold, and what their tokens
//! look like.

use std::collections::BTreeMap;
use std::path::PathBuf;

use portreeve_service::{FACES, FaceSettings, Faces, Secret};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::duration::Duration;
use super::secret;
use crate::fail::Failure;

/// The environment variable that is the key of Strapi's tokens, as it was there.
pub const JWT_SECRET: &str = "JWT_SECRET";

/// An idle life that is shorter is not told apart from no use: uses are written down once a minute.
const SHORTEST_IDLE: i64 = 5 * 60 * 1_000_000;

/// The sessions of a face. What is not said is as its system has it.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// How long a session holds, however much it is used.
    pub life: Option<Duration>,
    /// How long it holds without being used.
    pub idle: Option<Duration>,
    /// How many an account may have; 0 is as many as it likes.
    pub at_most: Option<u32>,
    /// Whether a change of what an account is bound to ends them.
    pub end_with_roles: Option<bool>,
    /// How long a token for requests holds that comes with a refresh token.
    pub access_life: Option<Duration>,
    /// How long a refresh token holds.
    pub refresh_life: Option<Duration>,
    /// How long one that has been used may be used again.
    pub refresh_grace: Option<Duration>,
    /// How long a signed token holds in whose place another one was put.
    pub renew_grace: Option<Duration>,
    /// The key signed tokens are signed with.
    pub jwt_secret: Option<String>,
    /// The file it is in.
    pub jwt_secret_file: Option<PathBuf>,
    /// The `iss` of signed tokens.
    pub issuer: Option<String>,
    /// Their `aud`.
    pub audience: Option<String>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

impl Sessions {
    /// Takes a key from elsewhere, unless one is given here.
    pub fn take_secret(&mut self, secret: String) {
        if self.jwt_secret.is_none() && self.jwt_secret_file.is_none() {
            self.jwt_secret = Some(secret);
        }
    }

    /// What is said, without the key.
    pub fn to_json(&self) -> Json {
        let time = |duration: &Option<Duration>| match duration {
            None => Json::Null,
            Some(Duration(None)) => "never".into(),
            Some(Duration(Some(micros))) => format!("{}s", micros / 1_000_000).into(),
        };
        json!({
            "life": time(&self.life),
            "idle": time(&self.idle),
            "at_most": self.at_most,
            "end_with_roles": self.end_with_roles,
            "access_life": time(&self.access_life),
            "refresh_life": time(&self.refresh_life),
            "refresh_grace": time(&self.refresh_grace),
            "renew_grace": time(&self.renew_grace),
            "jwt_secret": self.jwt_secret.as_ref().map(|_| "given"),
            "jwt_secret_file": self.jwt_secret_file,
            "issuer": self.issuer,
            "audience": self.audience,
        })
    }

    fn apply(
        &self,
        place: &str,
        face: &mut FaceSettings,
        development: bool,
    ) -> Result<(), Failure> {
        let wrong = |name: &str, message: &str| {
            Failure::error("bad_config", format!("{place}.{name}: {message}"))
        };
        if let Some(Duration(life)) = self.life {
            if life == Some(0) {
                return Err(wrong("life", "must be longer than nothing"));
            }
            face.sessions.life = life;
        }
        if let Some(Duration(idle)) = self.idle {
            if idle.is_some_and(|idle| idle < SHORTEST_IDLE) {
                return Err(wrong("idle", "must be 5m or more, or never"));
            }
            face.sessions.idle = idle;
        }
        if let Some(at_most) = self.at_most {
            face.sessions.at_most = (at_most > 0).then_some(at_most);
        }
        if let Some(end) = self.end_with_roles {
            face.sessions.end_with_roles = end;
        }
        let tokens = &mut face.tokens;
        let times = [
            ("access_life", self.access_life, &mut tokens.access_life, 1),
            (
                "refresh_life",
                self.refresh_life,
                &mut tokens.refresh_life,
                1,
            ),
            (
                "refresh_grace",
                self.refresh_grace,
                &mut tokens.refresh_grace,
                0,
            ),
            ("renew_grace", self.renew_grace, &mut tokens.renew_grace, 0),
        ];
        for (name, said, setting, least) in times {
            match said {
                None => {}
                Some(Duration(Some(micros))) if micros >= least => *setting = micros,
                Some(_) => return Err(wrong(name, "must be a time, and more than nothing")),
            }
        }
        match (&self.jwt_secret, &self.jwt_secret_file) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "jwt_secret",
                    "give this or jwt_secret_file, not both",
                ));
            }
            (Some(secret), None) => tokens.secret = Some(Secret::new(secret)),
            (None, Some(file)) => {
                let text = secret::read(&format!("{place}.jwt_secret_file"), file, development)?;
                // Editors end the last line.
                let line = text.strip_suffix('\n').unwrap_or(&text);
                tokens.secret = Some(Secret::new(line.strip_suffix('\r').unwrap_or(line)));
            }
            (None, None) => {}
        }
        if let Some(issuer) = &self.issuer {
            tokens.issuer = Some(issuer.clone());
        }
        if let Some(audience) = &self.audience {
            tokens.audience = Some(audience.clone());
        }
        Ok(())
    }
}

/// The settings of all faces.
pub fn faces(
    native: &Sessions,
    others: &BTreeMap<String, Sessions>,
    development: bool,
) -> Result<Faces, Failure> {
    let mut faces = Faces::default();
    if let Some(face) = faces.get_mut("native") {
        native.apply("sessions", face, development)?;
    }
    for (name, said) in others {
        let place = format!("faces.{name}");
        let known = FACES.into_iter().filter(|face| *face != "native");
        match faces.get_mut(name).filter(|_| name != "native") {
            Some(face) => said.apply(&place, face, development)?,
            None if name == "native" => {
                let line = "faces.native: these settings stand under [sessions]";
                return Err(Failure::error("bad_config", line.to_owned()));
            }
            None => {
                let hint = portreeve_policy::suggestion(name, known);
                let line = format!("{place}: there is no face '{name}'{hint}");
                return Err(Failure::error("bad_config", line));
            }
        }
    }
    Ok(faces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Faces, Failure> {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Both {
            sessions: Sessions,
            faces: BTreeMap<String, Sessions>,
        }
        let both: Both = toml::from_str(text).unwrap();
        faces(&both.sessions, &both.faces, false)
    }

    fn wrong(text: &str) -> String {
        format!("{:?}", read(text).unwrap_err())
    }

    #[test]
    fn what_is_said_is_said_of_one_face() {
        let faces = read(
            "[sessions]\nlife = \"1d\"\nidle = \"never\"\nat_most = 0\n[faces.kuzzle]\nlife = \"never\"\nrefresh_grace = \"0s\"\n",
        )
        .unwrap();
        let native = &faces.get(Some("native")).1.sessions;
        assert_eq!(
            (native.life, native.idle, native.at_most),
            (Some(86_400_000_000), None, None)
        );
        assert_eq!(faces.get(Some("kuzzle")).1.sessions.life, None);
        assert_eq!(faces.get(Some("hasura")).1, &FaceSettings::of("hasura"),);
    }

    #[test]
    fn a_key_from_elsewhere_yields_to_one_that_is_given() {
        let mut sessions = Sessions::default();
        sessions.take_secret("first".into());
        sessions.take_secret("second".into());
        assert_eq!(sessions.jwt_secret.as_deref(), Some("first"));
        let mut in_a_file = Sessions {
            jwt_secret_file: Some("key".into()),
            ..Sessions::default()
        };
        in_a_file.take_secret("first".into());
        assert_eq!(in_a_file.jwt_secret, None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, part) in [
            ("[sessions]\nidle = \"10s\"", "sessions.idle: must be 5m"),
            ("[sessions]\nlife = \"0s\"", "sessions.life"),
            ("[faces.native]\nlife = \"1d\"", "stand under [sessions]"),
            ("[faces.kuzle]\nlife = \"1d\"", "did you mean 'kuzzle'?"),
            (
                "[sessions]\naccess_life = \"never\"",
                "sessions.access_life",
            ),
            (
                "[sessions]\njwt_secret = \"a\"\njwt_secret_file = \"b\"",
                "not both",
            ),
        ] {
            let said = wrong(text);
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let sessions = Sessions {
            jwt_secret: Some("hidden".into()),
            ..Sessions::default()
        };
        assert!(!format!("{sessions:?}").contains("hidden"));
    }
}
