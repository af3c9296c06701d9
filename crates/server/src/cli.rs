//! The command line as types. Flags win over the environment, the environment over the configuration file.

#[cfg(test)]
mod page;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use portreeve_service::{AuditHead, Synchronous};

/// One account list, one set of rights.
#[derive(Parser)]
#[command(
    name = "portreeve",
    version,
    about,
    after_help = "Exit codes: 0 done, allowed or passed; 1 denied, a test failed, or something was found; 2 an error, told on stderr.\n\
                  Every flag that shows one can be given as an environment variable; flags win."
)]
pub struct Cli {
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Start the server
    Serve(Serve),
    /// Make a data folder
    Init(Data),
    /// Accounts: create, list, show, change, end
    User {
        /// What to do with them.
        #[command(subcommand)]
        command: User,
    },
    /// Roles: make, show, hand out, take away
    Role {
        /// What to do with them.
        #[command(subcommand)]
        command: Part,
    },
    /// Profiles: make, show, hand out, take away
    Profile {
        /// What to do with them.
        #[command(subcommand)]
        command: Part,
    },
    /// Bindings of an account: list them, end one. `role grant` and `profile grant` make them
    Binding {
        /// What to do with them.
        #[command(subcommand)]
        command: Binding,
    },
    /// Sessions of an account: list them, end them
    Session {
        /// What to do with them.
        #[command(subcommand)]
        command: Session,
    },
    /// The words of mails: list, show, set, go back to the built-in ones
    Template {
        /// What to do with them.
        #[command(subcommand)]
        command: Template,
    },
    /// Mails that were asked for: what became of them
    Mail {
        /// What to do with them.
        #[command(subcommand)]
        command: Mail,
    },
    /// Look for what is wrong or wider than anybody means: rights, accounts, configuration. Exit code 1: there is something
    #[command(
        after_help = "Changes nothing. Give it the configuration the server runs with. Notices alone leave the exit code 0."
    )]
    Doctor {
        #[command(flatten)]
        data: Data,
    },
    /// Shares: list them, end one
    Share {
        /// What to do with them.
        #[command(subcommand)]
        command: Shares,
    },
    /// Ask whether a user may do something. Exit code 0: allowed, 1: denied
    Can(Can),
    /// Say what a decision id of an answer stands for, and why it fell as it did
    Explain {
        /// The id: Portreeve-Decision-Id of an answer, or decision_id in it
        id: String,
        #[command(flatten)]
        data: Data,
    },
    /// Say who can do something, and through which role and profile. Exit code 0: somebody, 1: nobody
    WhoCan(WhoCan),
    /// Show what a user may do, and through which roles and profiles
    Rights {
        /// The account: name, address, key, number or id
        user: String,
        #[command(flatten)]
        data: Data,
    },
    /// Run the tests that stand in an access file. Exit code 1: one has failed
    Test {
        /// The access file
        file: PathBuf,
        #[command(flatten)]
        data: Data,
    },
    /// Show what putting an access file in force would change
    Plan {
        /// The access file
        file: PathBuf,
        #[command(flatten)]
        data: Data,
    },
    /// Put an access file in force, as one change
    Apply {
        /// The access file
        file: PathBuf,
        /// Agree that collections and fields which are gone from the file go with their data
        #[arg(long)]
        confirm_drops: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Load accounts and records from lines of JSON
    Load {
        /// The file, or `-` for standard input
        file: PathBuf,
        /// Leave out that many lines at the beginning: those that an earlier run has loaded
        #[arg(long, default_value_t = 0)]
        skip: usize,
        #[command(flatten)]
        data: Data,
    },
    /// Write the access document in force, or accounts and records, in a form that `apply` and `load` read
    #[command(
        after_help = "Sessions are not part of it, nor passwords unless they are asked for, and what is written meanwhile may or may not be: for a whole copy of\n\
                      one moment there is `portreeve backup`."
    )]
    Export {
        /// Write accounts and records as lines of JSON instead of the access document
        #[arg(long)]
        records: bool,
        /// Write what every account is bound to with the access document; to be read where the accounts are
        #[arg(long, conflicts_with_all = ["records", "to"])]
        with_bindings: bool,
        /// Write both into a folder, as access.yaml and records.ndjson
        #[arg(long, value_name = "DIR", conflicts_with = "records")]
        to: Option<PathBuf>,
        /// Write the hashes of passwords with the accounts, so that people keep their passwords elsewhere
        #[arg(long)]
        with_passwords: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Copy all there is into one file, as of one moment, beside a running server or without one
    #[command(
        after_help = "The file holds password hashes; nobody but its owner may read it. It appears under its name when it is whole\n\
                      and has been read again and found equal. `portreeve restore` makes a data folder from it."
    )]
    Backup {
        /// The file to make, or with --check the one to look at
        file: PathBuf,
        /// Replace a file that is there
        #[arg(long, conflicts_with = "check")]
        force: bool,
        /// Make nothing: read a backup and say whether it is what it was when it was made
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Make a data folder from a backup; everybody has to sign in again
    #[command(
        after_help = "All or nothing: the file is checked before anything is touched. A database that is there is never deleted:\n\
                      --force moves it into a folder of its own beside the new one, which can be used with --data as it is. With --database\n\
                      the database has to be empty."
    )]
    Restore {
        /// The backup
        file: PathBuf,
        /// Move a database that is there aside
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        data: Data,
    },
    /// The audit trail: list it, check it, tell the head of its chain
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: Audit,
    },
    /// Check a configuration file, or say what can stand in one
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: Config,
    },
}

/// Where the data is.
#[derive(Args, Clone, Default)]
pub struct Data {
    /// The data folder [default: portreeve-data]
    #[arg(long, value_name = "DIR", env = "PORTREEVE_DATA")]
    pub data: Option<PathBuf>,
    /// A database that is there already instead of the data folder: postgres://user:password@host/database, or
    /// sqlite:FILE
    #[arg(
        long,
        value_name = "URL",
        env = "PORTREEVE_DATABASE",
        hide_env_values = true
    )]
    pub database: Option<String>,
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "PORTREEVE_CONFIG")]
    pub config: Option<PathBuf>,
    /// What a commit waits for: `full` survives a power failure, `normal` a crash of the program [default: full]
    #[arg(long, value_name = "MODE", env = "PORTREEVE_SYNCHRONOUS", value_parser = synchronous)]
    pub synchronous: Option<Synchronous>,
}

/// How the server starts.
#[derive(Args)]
pub struct Serve {
    /// Development: loopback only, an administrator made at once, no setup
    #[arg(long, env = "PORTREEVE_DEV", value_parser = clap::builder::BoolishValueParser::new(), num_args = 0, default_missing_value = "true")]
    pub dev: Option<bool>,
    /// The address to listen on [default: 127.0.0.1:7600]
    #[arg(long, value_name = "ADDR", env = "PORTREEVE_LISTEN", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// The access file to put in force at the start
    #[arg(long, value_name = "FILE", env = "PORTREEVE_ACCESS")]
    pub access: Option<PathBuf>,
    /// Lines of JSON to load once, when the data folder is new to them
    #[arg(long, value_name = "FILE", env = "PORTREEVE_LOAD")]
    pub load: Option<PathBuf>,
    #[command(flatten)]
    pub data: Data,
}

/// What to do with accounts.
#[derive(Subcommand)]
pub enum User {
    /// Make an account. Without roles and profiles it gets what `registration:` says
    Create {
        /// The name it signs in by
        username: String,
        /// The address it may sign in by as well
        #[arg(long)]
        email: Option<String>,
        /// A role to bind it to; may be given several times
        #[arg(long = "role", value_name = "ROLE")]
        roles: Vec<String>,
        /// A profile to bind it to; may be given several times
        #[arg(long = "profile", value_name = "PROFILE")]
        profiles: Vec<String>,
        #[command(flatten)]
        password: PasswordSource,
        /// No password: the account cannot sign in until it is given one
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
        #[command(flatten)]
        data: Data,
    },
    /// Give an account a new password; its sessions end
    Password {
        /// The account: name, address, key, number or id
        user: String,
        #[command(flatten)]
        password: PasswordSource,
        #[command(flatten)]
        data: Data,
    },
    /// List the accounts
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Show an account: its fields, and what it is bound to
    Show {
        /// The account: name, address, key, number or id
        user: String,
        #[command(flatten)]
        data: Data,
    },
    /// Change an account
    Update(Box<UpdateUser>),
    /// Keep an account from signing in; its sessions end
    Disable {
        /// The account: name, address, key, number or id
        user: String,
        #[command(flatten)]
        data: Data,
    },
    /// Let an account sign in again
    Enable {
        /// The account: name, address, key, number or id
        user: String,
        #[command(flatten)]
        data: Data,
    },
    /// End an account, with its bindings, sessions and password
    Delete {
        /// The account: name, address, key, number or id
        user: String,
        #[command(flatten)]
        data: Data,
    },
}

/// What to do with bindings.
#[derive(Subcommand)]
pub enum Binding {
    /// List what an account is bound to
    List {
        /// The account: name, address, key, number or id
        user: String,
        #[command(flatten)]
        data: Data,
    },
    /// End one
    End {
        /// Its id
        id: String,
        /// A reason, for the audit trail
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        #[command(flatten)]
        data: Data,
    },
}

/// What to do with sessions.
#[derive(Subcommand)]
pub enum Session {
    /// List those of an account
    List {
        /// The account: name, address, key, number or id
        user: String,
        #[command(flatten)]
        data: Data,
    },
    /// End all of an account's, or one of them
    End {
        /// The account: name, address, key, number or id
        user: String,
        /// Only this one
        #[arg(long, value_name = "ID")]
        session: Option<String>,
        #[command(flatten)]
        data: Data,
    },
}

/// What to do with the words of mails.
#[derive(Subcommand)]
pub enum Template {
    /// List the kinds of mail
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Show the words of one
    Show {
        /// The kind
        name: String,
        #[command(flatten)]
        data: Data,
    },
    /// Put other words in the place of the ones in force
    Set {
        /// The kind
        name: String,
        /// One line
        #[arg(long)]
        subject: String,
        /// A file with the text
        #[arg(long, value_name = "FILE")]
        text: PathBuf,
        /// A file with the same as HTML; without it, mails are text alone
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// Go back to the built-in words
    Reset {
        /// The kind
        name: String,
        #[command(flatten)]
        data: Data,
    },
}

/// What to do with mails.
#[derive(Subcommand)]
pub enum Mail {
    /// List them, the newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        data: Data,
    },
}

/// What is changed about an account; what is not said stays.
#[derive(Args)]
pub struct UpdateUser {
    /// The account: name, address, key, number or id
    pub user: String,
    /// The name it signs in by
    #[arg(long)]
    pub username: Option<String>,
    /// It signs in by no name
    #[arg(long, conflicts_with = "username")]
    pub no_username: bool,
    /// The address it signs in by; it counts as not confirmed unless that is said too
    #[arg(long)]
    pub email: Option<String>,
    /// It has no address
    #[arg(long, conflicts_with = "email")]
    pub no_email: bool,
    /// Its chosen key
    #[arg(long)]
    pub key: Option<String>,
    /// Its status: only `active` signs in
    #[arg(long)]
    pub status: Option<String>,
    /// Whether its address counts as confirmed
    #[arg(long, value_name = "true|false")]
    pub confirmed: Option<bool>,
    /// Who vouches for it
    #[arg(long)]
    pub provider: Option<String>,
    /// Own columns of `users`, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub values: Option<String>,
    #[command(flatten)]
    pub data: Data,
}

/// What to do with shares.
#[derive(Subcommand)]
pub enum Shares {
    /// List them, the newest first: at most 1,000
    List {
        #[command(flatten)]
        data: Data,
    },
    /// End one: whoever has opened it sees nothing any more
    End {
        /// Its id
        id: String,
        #[command(flatten)]
        data: Data,
    },
}

/// What to do with roles, or with profiles.
#[derive(Subcommand)]
pub enum Part {
    /// List them
    List {
        #[command(flatten)]
        data: Data,
    },
    /// Show one, as an access file has it
    Show {
        /// Its name
        key: String,
        #[command(flatten)]
        data: Data,
    },
    /// Make one as it stands in an access file, and nothing else of that file
    Create {
        /// Its name
        key: String,
        /// The access file
        file: PathBuf,
        /// A reason, for the audit trail
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Have one fall away. Refused while somebody holds it
    Delete {
        /// Its name
        key: String,
        /// Take it from whoever holds it
        #[arg(long)]
        unbind: bool,
        /// A reason, for the audit trail
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Bind an account to one
    Grant {
        /// Its name
        key: String,
        /// The account: name, address, key, number or id
        user: String,
        /// Only on this collection, or `namespace/*`; may be given several times
        #[arg(long, value_name = "COLLECTION")]
        only: Vec<String>,
        /// From when, such as 2027-01-31T12:00:00Z
        #[arg(long, value_name = "MOMENT")]
        from: Option<String>,
        /// Until when
        #[arg(long, value_name = "MOMENT")]
        until: Option<String>,
        /// The one that systems with one role to an account show
        #[arg(long)]
        primary: bool,
        /// A reason, for the audit trail
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// End an account's bindings to one
    Revoke {
        /// Its name
        key: String,
        /// The account: name, address, key, number or id
        user: String,
        /// A reason, for the audit trail
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        #[command(flatten)]
        data: Data,
    },
}

/// Where a password comes from: never from the command line, which other users of the machine can read.
#[derive(Args)]
pub struct PasswordSource {
    /// Read the password from the first line of standard input instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
}

/// A question about rights.
#[derive(Args)]
pub struct Can {
    /// Whose rights: name, address, key, number or id, or `anonymous`
    pub user: String,
    /// An action such as `data.update`, or `read`, `list`, `count`, `create`, `update`, `delete`
    pub action: String,
    /// A collection, or one of its records: `grades`, `grades/1`
    pub on: Option<String>,
    /// What would be sent, as a JSON object
    #[arg(long, value_name = "JSON")]
    pub send: Option<String>,
    /// Say why
    #[arg(long)]
    pub explain: bool,
    #[command(flatten)]
    pub data: Data,
}

/// What to do with the audit trail.
#[derive(Subcommand)]
pub enum Audit {
    /// Print the head of the chain, POSITION:HASH, to be kept somewhere else
    Head {
        #[command(flatten)]
        data: Data,
    },
    /// Check every line against the chain. Exit code 1: something was altered, dropped, moved, added or cut off
    #[command(
        after_help = "Whoever can write the whole database can make a new chain: what tells then is a head that was noted elsewhere,\n\
                      by `portreeve audit head` or from the server's log, where it stands once an hour."
    )]
    Verify {
        /// A head that was noted earlier; may be given several times
        #[arg(long = "head", value_name = "POSITION:HASH")]
        heads: Vec<AuditHead>,
        #[command(flatten)]
        data: Data,
    },
    /// List lines, oldest first; with --json one object a line
    List {
        /// From this day or moment on: 2026-11-22, 2026-11-22T10:00:00Z
        #[arg(long, value_name = "WHEN")]
        since: Option<String>,
        /// By whom: a user by name, address, key, number or id, or `operator`
        #[arg(long, value_name = "USER")]
        actor: Option<String>,
        /// What was done: user.create
        #[arg(long, value_name = "ACTION")]
        action: Option<String>,
        /// To what, as it stands in the trail
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
        #[command(flatten)]
        data: Data,
    },
}

/// A question about who has rights.
#[derive(Args)]
pub struct WhoCan {
    /// An action such as `data.update`, or `read`, `list`, `count`, `create`, `update`, `delete`
    pub action: String,
    /// A collection, or one of its records: `grades`, `grades/1`
    pub on: Option<String>,
    /// Which field would be read
    #[arg(long)]
    pub field: Option<String>,
    #[command(flatten)]
    pub data: Data,
}

/// What to do with a configuration.
#[derive(Subcommand)]
pub enum Config {
    /// Say whether a configuration file is right, and what it comes to
    Check {
        /// The file; the one in PORTREEVE_CONFIG where none is given
        #[arg(env = "PORTREEVE_CONFIG")]
        file: Option<PathBuf>,
    },
    /// Print the JSON Schema of configuration files
    Schema,
}

fn synchronous(text: &str) -> Result<Synchronous, String> {
    match text {
        "full" => Ok(Synchronous::Full),
        "normal" => Ok(Synchronous::Normal),
        _ => Err("use 'full' or 'normal'".into()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    crate::config::address(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn the_cli_page_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/cli.md");
        let page = super::page::page();
        if std::env::var_os("WRITE_PAGES").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            there == page,
            "write it anew: WRITE_PAGES=1 cargo test -p portreeve cli_page"
        );
    }
}
