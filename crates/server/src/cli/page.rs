//! `docs/reference/cli.md`, written from the command line itself.

use clap::{Arg, Command, CommandFactory};

const HEAD: &str = "# The command line

<!-- Written from crates/server/src/cli.rs: `WRITE_PAGES=1 cargo test -p portreeve cli_page` -->

`portreeve help COMMAND` says the same where you are. Commands that change something need the data to themselves: they name the server that has it. Those that only show something work beside one. On PostgreSQL all of them do.
Whoever may read and write the data may everything; what he does stands in the audit trail as `operator`.

## Exit codes

| code | what it means |
| --- | --- |
| 0 | Done. `can`: allowed; `who-can`: somebody; `test`: all passed; `audit verify`: whole; `doctor`: nothing but notices |
| 1 | `can`: denied; `who-can`: nobody; `test`: an expectation failed; `audit verify`: something was altered, dropped, moved, added or cut off; `doctor`: there is something to look at |
| 2 | An error, told on stderr: what is wrong and what to do. An access file has a line for each problem, `file:line:column` |

## With every command

| option | what it says | environment |
| --- | --- | --- |
| `--json` | Results as JSON on stdout, errors as one object on stderr: `{\"error\": {\"code\", \"message\", \"problems\"?}}`. Codes are stable | – |
";

/// Options that many commands share, told once.
const SHARED: [&str; 4] = ["data", "database", "config", "synchronous"];

/// The page.
pub fn page() -> String {
    let mut cli = super::Cli::command();
    cli.build();
    let mut page = HEAD.to_owned();
    let init = cli.get_subcommands().find(|one| one.get_name() == "init");
    for argument in init.into_iter().flat_map(Command::get_arguments) {
        if SHARED.contains(&argument.get_id().as_str()) {
            page.push_str(&line(argument));
        }
    }
    page.push_str("\nThe last four belong to commands that touch data. The configuration they name has [more settings](configuration.md).\n");
    for command in commands(&cli) {
        all(command, "portreeve", &mut page);
    }
    page
}

fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|one| one.get_name() != "help")
}

fn all(command: &Command, before: &str, page: &mut String) {
    let name = format!("{before} {}", command.get_name());
    if command.get_subcommands().next().is_some() {
        for inner in commands(command) {
            all(inner, &name, page);
        }
        return;
    }
    let mut usage = name.clone();
    for argument in command.get_positionals() {
        let word = value(argument);
        usage.push_str(&if argument.is_required_set() {
            format!(" {word}")
        } else {
            format!(" [{word}]")
        });
    }
    page.push_str(&format!("\n## `{usage}`\n\n"));
    let text = |text: Option<&clap::builder::StyledStr>| text.map(ToString::to_string);
    page.push_str(&text(command.get_about()).unwrap_or_default());
    page.push_str(".\n");
    if let Some(more) = text(command.get_after_help()) {
        page.push_str(&format!("\n{}\n", more.replace('\n', " ")));
    }
    let own: Vec<&Arg> = command
        .get_arguments()
        .filter(|one| !SHARED.contains(&one.get_id().as_str()))
        .filter(|one| !["help", "version", "json"].contains(&one.get_id().as_str()))
        .collect();
    if !own.is_empty() {
        page.push_str("\n| option | what it says | environment |\n| --- | --- | --- |\n");
        for argument in own {
            page.push_str(&line(argument));
        }
    }
}

fn takes_value(argument: &Arg) -> bool {
    let most = argument.get_num_args().map(|range| range.max_values());
    argument.get_action().takes_values() && most != Some(0)
}

fn value(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    names.join(" ")
}

fn line(argument: &Arg) -> String {
    let name = match argument.get_long() {
        None => value(argument),
        Some(long) if takes_value(argument) => {
            format!("--{long} {}", value(argument))
        }
        Some(long) => format!("--{long}"),
    };
    let help = argument.get_help().map(ToString::to_string);
    let help = help
        .unwrap_or_default()
        .replace('|', "\\|")
        .replace('\n', " ");
    let variable = argument.get_env().map_or_else(
        || "–".to_owned(),
        |variable| format!("`{}`", variable.to_string_lossy()),
    );
    format!("| `{}` | {help} | {variable} |\n", name.replace('|', "\\|"))
}
