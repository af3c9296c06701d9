//! Every setting there is: what it takes, what it is where nothing is said, how else it is given. The environment is read
//! by this table, `config schema` and `docs/reference/configuration.md` are written from it, and tests hold it against the
//! types that read the file.

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A file or folder.
    Path,
    /// An address and a port.
    Address,
    /// `true` or `false`.
    Flag,
    /// A whole number, this or more.
    Number(u32),
    /// `30d`, `12h`, `15m`, `10s`.
    Time,
    /// One of these.
    Word(&'static [&'static str]),
    /// A list of texts.
    List,
}

/// A setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The section it stands in.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is where nothing is said, as the file would say it; empty where that is nothing, or depends.
    pub default: &'static str,
    /// The same for people, where it depends.
    pub otherwise: &'static str,
    /// Whether it must not be seen. Each has a sibling `NAME_file`.
    pub secret: bool,
    /// The flag, where there is one.
    pub flag: &'static str,
    /// The variable, where it is not called by the rule.
    pub variable: &'static str,
    /// What it says.
    pub about: &'static str,
}

const fn key(section: &'static str, name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key {
        section,
        name,
        kind,
        default: "",
        otherwise: "",
        secret: false,
        flag: "",
        variable: "",
        about,
    }
}

impl Key {
    const fn or(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn otherwise(mut self, otherwise: &'static str) -> Self {
        self.otherwise = otherwise;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn flag(mut self, flag: &'static str, variable: &'static str) -> Self {
        self.flag = flag;
        self.variable = variable;
        self
    }

    /// The environment variable that gives it.
    pub fn variable(&self) -> String {
        if self.variable.is_empty() {
            variable(self.section, self.name)
        } else {
            self.variable.to_owned()
        }
    }

    /// Whether it names a file that a secret is in.
    pub fn is_secret_file(&self) -> bool {
        let secret = self.name.strip_suffix("_file");
        secret.is_some_and(|secret| {
            KEYS.iter()
                .any(|key| key.section == self.section && key.name == secret && key.secret)
        })
    }
}

/// The variable of a setting by the rule: `PORTREEVE_SECTION_NAME`.
pub fn variable(section: &str, name: &str) -> String {
    let name = format!("PORTREEVE_{section}_{name}");
    name.replace('.', "_").to_uppercase()
}

/// The section whose settings stand under `[faces.NAME]` too.
pub const SESSIONS: &str = "sessions";

const DENIALS: Kind = Kind::Word(&["all", "sample", "none"]);
const DURABILITY: Kind = Kind::Word(&["full", "normal"]);
const PROTECTION: Kind = Kind::Word(&["tls", "starttls", "none"]);

/// All of them, in the order they are shown in.
pub const KEYS: &[Key] = &[
    key("server", "listen", Kind::Address, "The address it listens on")
        .or("\"127.0.0.1:7600\"")
        .flag("--listen", "PORTREEVE_LISTEN"),
    key("server", "development", Kind::Flag, "Development mode: loopback only, and open to whoever reaches it")
        .or("false")
        .flag("--dev", "PORTREEVE_DEV"),
    key("server", "public_url", Kind::Text, "The address it has for the world, such as `https://school.example`. No request says what it is"),
    key("server", "name", Kind::Text, "What it is called in mails").or("\"Portreeve\""),
    key("server", "trusted_proxies", Kind::List, "Networks and addresses of proxies whose `X-Forwarded-For` is believed").or("[]"),
    key("data", "folder", Kind::Path, "The data folder")
        .or("\"portreeve-data\"")
        .flag("--data", "PORTREEVE_DATA"),
    key("data", "database", Kind::Text, "A database that is there already, instead of the folder: `postgres://user:password@host/database`, or `sqlite:FILE`")
        .secret()
        .flag("--database", "PORTREEVE_DATABASE"),
    key("data", "database_file", Kind::Path, "A file with that in its first line").flag("", "PORTREEVE_DATABASE_FILE"),
    key("data", "connections", Kind::Number(0), "How many connections to PostgreSQL there are at most").or("10"),
    key("data", "synchronous", DURABILITY, "What a commit waits for: `full` survives a power failure, `normal` a crash of the program")
        .or("\"full\"")
        .flag("--synchronous", "PORTREEVE_SYNCHRONOUS"),
    key("data", "readers", Kind::Number(0), "Threads for reads that are too long for the thread of their request (SQLite)").or("2"),
    key("data", "change_limit", Kind::Number(1), "How many records one change by filter may be about. On SQLite all other writes wait meanwhile").or("10000"),
    key("data", "load", Kind::Path, "Lines of JSON to load once, when the data folder is new to them")
        .flag("--load", "PORTREEVE_LOAD"),
    key("access", "file", Kind::Path, "The access file that is put in force at the start. Without one, what is stored stays in force")
        .flag("--access", "PORTREEVE_ACCESS"),
    key(SESSIONS, "life", Kind::Time, "How long a session holds, however much it is used; or `never`").otherwise("`30d`"),
    key(SESSIONS, "idle", Kind::Time, "How long it holds without being used, `5m` or more; or `never`").otherwise("`7d`"),
    key(SESSIONS, "at_most", Kind::Number(0), "How many an account may have; 0 is as many as it likes").otherwise("`100`"),
    key(SESSIONS, "end_with_roles", Kind::Flag, "Whether a change of what an account is bound to ends them").otherwise("`false`"),
    key(SESSIONS, "access_life", Kind::Time, "How long a token for requests holds that comes with a refresh token").otherwise("`15m`"),
    key(SESSIONS, "refresh_life", Kind::Time, "How long a refresh token holds").otherwise("`7d`"),
    key(SESSIONS, "refresh_grace", Kind::Time, "How long one that has been used may be used again").otherwise("`0s`"),
    key(SESSIONS, "renew_grace", Kind::Time, "How long a signed token holds in whose place another one was put").otherwise("`0s`"),
    key(SESSIONS, "jwt_secret", Kind::Text, "The key signed tokens are signed with, 32 bytes or more. Without one, one is made and kept in the database").secret(),
    key(SESSIONS, "jwt_secret_file", Kind::Path, "A file with that key in it"),
    key(SESSIONS, "issuer", Kind::Text, "The `iss` of signed tokens").otherwise("`portreeve`"),
    key(SESSIONS, "audience", Kind::Text, "Their `aud`").otherwise("`native`"),
    key("throttle", "per_address", Kind::Number(0), "Attempts to sign in that one address may make in a minute, whatever the name; 0 is no limit").or("60"),
    key("throttle", "per_name_and_address", Kind::Number(0), "With one name from one address").or("10"),
    key("throttle", "per_name", Kind::Number(0), "With one name from all addresses at which it has not signed in before").or("30"),
    key("throttle", "registrations", Kind::Number(0), "Accounts that people make for themselves from one address, in an hour").or("60"),
    key("throttle", "mails", Kind::Number(0), "Mails that are asked for from one address, in an hour").or("60"),
    key("throttle", "address_changes", Kind::Number(0), "Other e-mail addresses that one account asks for, in an hour").or("5"),
    key("subscriptions", "for_one", Kind::Number(1), "How many one account may have at a time; one address, where nobody is signed in").or("16"),
    key("subscriptions", "in_all", Kind::Number(1), "How many there may be on this server").or("1024"),
    key("subscriptions", "kept_changes", Kind::Number(1), "How many changes are kept for who is behind or comes back; whoever is further behind lists anew").or("4096"),
    key("subscriptions", "kept_bytes", Kind::Number(1), "How many bytes of records, roughly; whichever is less").or("16777216"),
    key("audit", "denials", DENIALS, "Which denials the database keeps. The latest are in memory anyway").or("\"all\""),
    key("audit", "one_in", Kind::Number(1), "With `sample`, one in so many").or("10"),
    key("audit", "denials_per_minute", Kind::Number(1), "At most so many in a minute").or("600"),
    key("audit", "denials_kept", Kind::Number(1), "At most so many in all").or("100000"),
    key("audit", "denials_days", Kind::Number(1), "For so many days").or("30"),
    key("audit", "sign_ins", Kind::Flag, "Whether the audit trail tells who signs in, and who is not let in").or("false"),
    key("log", "filter", Kind::Text, "What is told on stderr: `warn`, `info`, `debug`, or by module, `info,portreeve_store=debug`")
        .or("\"info\"")
        .flag("", "PORTREEVE_LOG"),
    key("mail", "host", Kind::Text, "The mail server. Without one no mail is sent; in development it can be read at `/v1/dev/mails` then"),
    key("mail", "port", Kind::Number(1), "Its port").otherwise("`465`, `587` or `25`, by `encryption`"),
    key("mail", "encryption", PROTECTION, "What protects the way to it. With `none` no password leaves the machine").or("\"tls\""),
    key("mail", "user", Kind::Text, "The name to sign in to it with"),
    key("mail", "password", Kind::Text, "The password").secret(),
    key("mail", "password_file", Kind::Path, "A file with it in its first line"),
    key("mail", "from", Kind::Text, "Who mail comes from: `Name <address>`, or an address"),
    key("mail", "reply_to", Kind::Text, "Where answers go"),
    key("mail", "reset_url", Kind::Text, "The page that asks for a new password. Without it a mail shows the code alone, and so for the others"),
    key("mail", "confirm_url", Kind::Text, "The page that confirms an address"),
    key("mail", "invite_url", Kind::Text, "The page that accepts an invitation"),
    key("mail", "allowed_links", Kind::List, "Further pages that a request may choose, each to the letter").or("[]"),
    key("mail", "per_address", Kind::Number(0), "So many mails an hour go to an address; what is asked beyond is not sent, and nobody is told").or("3"),
    key("mail", "reset_lifetime", Kind::Time, "How long a code for a new password holds, at most 30 days").or("\"1h\""),
    key("mail", "confirm_lifetime", Kind::Time, "How long a code that confirms an address holds").or("\"24h\""),
    key("mail", "invite_lifetime", Kind::Time, "How long an invitation holds").or("\"7d\""),
    key("registration", "open", Kind::Flag, "Whether strangers make accounts for themselves. What they are bound to stands in the access file").or("false"),
    key("registration", "confirmation", Kind::Flag, "Whether their address has to be confirmed by mail first").or("false"),
];

/// What a section is about.
pub const SECTIONS: &[(&str, &str)] = &[
    ("server", "How it is reached"),
    ("data", "Where records are kept, and how safely"),
    ("access", "The policy that is put in force at the start"),
    (
        SESSIONS,
        "How long sessions hold, and what their tokens look like",
    ),
    (
        "throttle",
        "How often one may try to sign in, sign up and ask for mail",
    ),
    (
        "subscriptions",
        "How many may be told of changes, and how far behind they may be",
    ),
    ("audit", "Which denials are kept, and for how long"),
    ("log", "What is told while it runs"),
    ("mail", "How mail goes out, and where its links lead"),
    (
        "registration",
        "Whether strangers make accounts for themselves",
    ),
];
