//! What differs from face to face, as plain data: how long sessions hold, what tokens look like and the keys they are
//! signed with, what new accounts are bound to, whose rights the public role has. A face finds its own under its name.

use std::collections::BTreeMap;

use portreeve_model::MICROS;
use portreeve_policy::BoundTo;

use crate::Registration;

const MINUTE: i64 = 60 * MICROS;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The end of what never ends: the last second of the year 9999.
pub const NEVER: i64 = 253_402_300_799 * MICROS;

/// The faces there are settings for.
pub const FACES: [&str; 6] = ["native", "kuzzle", "strapi", "hasura", "bknd", "directus"];

/// The settings of one face.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceSettings {
    /// Its sessions.
    pub sessions: SessionSettings,
    /// Its tokens.
    pub tokens: TokenSettings,
    /// What the number of a profile's `rate_limit` is for, in microseconds.
    pub rate_window: i64,
    /// How it takes accounts from strangers.
    pub registration: Registration,
    /// Whose rights are those of its public role.
    pub public: Public,
    /// Whether a role that is held can be deleted: it is taken from its holders then.
    pub unbinds: bool,
    /// Roles it neither shows nor counts where it shows one role of an account.
    pub unseen: Vec<String>,
    /// What holds the code in the links of its mails.
    pub links: LinkParameters,
}

/// The parameters of links that hold the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkParameters {
    /// Of the page that asks for a new password.
    pub reset: String,
    /// Of the page that confirms an address.
    pub confirm: String,
    /// Of the page that accepts an invitation.
    pub invite: String,
}

impl LinkParameters {
    /// The same for all.
    pub fn all(name: &str) -> Self {
        Self {
            reset: name.into(),
            confirm: name.into(),
            invite: name.into(),
        }
    }
}

/// Whose rights are those of a face's public role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public {
    /// Those who come without a session.
    Anonymous,
    /// Everybody, signed in or not.
    Everyone,
    /// Those who come without a session, and those who are bound to nothing.
    Roleless,
}

/// How long sessions hold. Times are microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionSettings {
    /// However much they are used; for ever where nothing is said.
    pub life: Option<i64>,
    /// Without being used.
    pub idle: Option<i64>,
    /// How many an account may have: those used longest ago make room.
    pub at_most: Option<u32>,
    /// Whether a change of what an account is bound to ends them.
    pub end_with_roles: bool,
}

/// What tokens look like and how long they hold. Times are microseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSettings {
    /// A token for requests that comes with a refresh token.
    pub access_life: i64,
    /// A refresh token that is not used.
    pub refresh_life: i64,
    /// How long a refresh token that has been used may be used again, for the same answer.
    pub refresh_grace: i64,
    /// How long a token for requests in whose place another one was put holds still.
    pub renew_grace: i64,
    /// The key tokens are signed with; one is made and kept where none is given.
    pub secret: Option<Secret>,
    /// The `iss` of tokens.
    pub issuer: Option<String>,
    /// The `aud` of tokens.
    pub audience: Option<String>,
    /// The `typ` in their header.
    pub typ: String,
    /// What stands before them.
    pub prefix: String,
}

/// A key that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Used as it is given, byte for byte.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl FaceSettings {
    /// What holds for a face where nothing else is said.
    pub fn of(face: &str) -> Self {
        let native = Self {
            sessions: SessionSettings {
                life: Some(30 * DAY),
                idle: Some(7 * DAY),
                at_most: Some(100),
                end_with_roles: false,
            },
            tokens: TokenSettings {
                access_life: 15 * MINUTE,
                refresh_life: 7 * DAY,
                refresh_grace: 0,
                renew_grace: 0,
                secret: None,
                issuer: Some("portreeve".into()),
                audience: Some("native".into()),
                typ: "at+jwt".into(),
                prefix: String::new(),
            },
            rate_window: MINUTE,
            registration: Registration::default(),
            public: Public::Anonymous,
            unbinds: true,
            unseen: vec![],
            links: LinkParameters::all("code"),
        };
        // Tokens of other systems have the claims and the header their clients know.
        let other = Self {
            sessions: SessionSettings {
                idle: None,
                ..native.sessions.clone()
            },
            tokens: TokenSettings {
                issuer: None,
                audience: None,
                typ: "JWT".into(),
                ..native.tokens.clone()
            },
            ..native.clone()
        };
        // Exactly these, and one as the role the account is shown with.
        let welcoming = |bound_to: &[&str], role: Option<&str>| Registration {
            bound_to: Some(
                bound_to
                    .iter()
                    .map(|role| BoundTo::Role((*role).into()))
                    .collect(),
            ),
            role: role.map(str::to_owned),
            ..Registration::default()
        };
        let lasting = |life: Option<i64>| SessionSettings {
            life,
            ..other.sessions.clone()
        };
        match face {
            "kuzzle" => Self {
                sessions: lasting(Some(HOUR)),
                tokens: TokenSettings {
                    renew_grace: MICROS,
                    prefix: "kauth-".into(),
                    ..other.tokens
                },
                rate_window: MICROS,
                registration: Registration {
                    bound_to: Some(vec![BoundTo::Profile("default".into())]),
                    ..Registration::default()
                },
                unbinds: false,
                ..other
            },
            "strapi" => Self {
                sessions: lasting(Some(30 * DAY)),
                registration: welcoming(&["user"], Some("authenticated")),
                unseen: vec!["user".into()],
                links: LinkParameters {
                    confirm: "confirmation".into(),
                    ..LinkParameters::all("code")
                },
                ..other
            },
            "hasura" => Self {
                sessions: SessionSettings {
                    end_with_roles: true,
                    ..lasting(Some(21 * DAY))
                },
                registration: welcoming(&["user"], None),
                links: LinkParameters::all("token"),
                ..other
            },
            "bknd" => Self {
                sessions: lasting(None),
                registration: welcoming(&[], None),
                public: Public::Roleless,
                ..other
            },
            "directus" => Self {
                sessions: lasting(Some(NEVER)),
                tokens: TokenSettings {
                    issuer: Some("directus".into()),
                    ..other.tokens
                },
                registration: welcoming(&[], None),
                public: Public::Everyone,
                unseen: vec!["user".into()],
                links: LinkParameters::all("token"),
                ..other
            },
            _ => native,
        }
    }
}

/// The settings of all faces.
#[derive(Clone, Debug, PartialEq)]
pub struct Faces(BTreeMap<String, FaceSettings>);

impl Default for Faces {
    fn default() -> Self {
        Self(
            FACES
                .iter()
                .map(|face| ((*face).to_owned(), FaceSettings::of(face)))
                .collect(),
        )
    }
}

impl Faces {
    /// Those of one face; the native ones for what is none.
    pub fn get(&self, face: Option<&str>) -> (&str, &FaceSettings) {
        let named = face.and_then(|face| self.0.get_key_value(face));
        let (name, settings) = named
            .or_else(|| self.0.get_key_value("native"))
            .or_else(|| self.0.first_key_value())
            .expect("there are always faces");
        (name, settings)
    }

    /// Those of one face, to be changed; none for what is no face.
    pub fn get_mut(&mut self, face: &str) -> Option<&mut FaceSettings> {
        self.0.get_mut(face)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FaceSettings)> {
        self.0.iter().map(|(name, face)| (name.as_str(), face))
    }
}

/// What a face makes of an account for the claims of its tokens; what is the product's own among them is replaced.
pub type Claims<'a> =
    &'a (dyn Fn(&crate::Caller) -> serde_json::Map<String, serde_json::Value> + Send + Sync);
