//! `docs/reference/configuration.md`, written from the table of settings.

use super::keys::{KEYS, Key, SECTIONS, SESSIONS};

const HEAD: &str = "# Configuration

<!-- Written from crates/server/src/config/keys.rs: `WRITE_PAGES=1 cargo test -p portreeve configuration_page` -->

Everything has a default, so that no file is needed. What is said counts in this order, the later winning: the file (`--config FILE`, or `PORTREEVE_CONFIG`), the environment, flags.

* **The file** is [TOML](https://toml.io). A section or setting that does not exist is an error with its place and the nearest one that does. Relative paths in it begin where it stands.
* **The environment** has a variable for every setting, `PORTREEVE_` and section and name, as the tables say. A list is written with commas. A variable that begins with `PORTREEVE_` and is no setting is an error. Relative paths begin where the program was started.
* **Secrets** are better kept in a file of their own: every one has a sibling that names the file, `password` and `password_file`, `PORTREEVE_MAIL_PASSWORD` and `PORTREEVE_MAIL_PASSWORD_FILE`. One of the two: the environment's takes the place of the file's,
  whichever that was. Outside development a file that everybody on the machine can read or change is refused (`secret_exposed`); in a container, mount it with mode `0440`.
* `portreeve config check FILE` says whether a file is right and what it comes to with the environment, without showing secrets. `portreeve config schema` prints the JSON Schema of files, for editors.
";

/// The page.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for (section, about) in SECTIONS {
        page.push_str(&format!("\n## `[{section}]`\n\n{about}.\n\n"));
        if *section == SESSIONS {
            page.push_str(
                "These are the settings of our own face. The same stand under `[faces.kuzzle]`, `[faces.strapi]`, `[faces.hasura]`, `[faces.bknd]` and `[faces.directus]` for those, whose variables are \
                 `PORTREEVE_FACES_KUZZLE_LIFE` and so on, and whose defaults are [those of their systems](../guide/sessions.md#settings). `JWT_SECRET` is the key of `strapi` where no other is given.\n\n",
            );
        }
        page.push_str("| setting | what it says | default | environment | flag |\n| --- | --- | --- | --- | --- |\n");
        for key in KEYS.iter().filter(|key| key.section == *section) {
            page.push_str(&line(key));
        }
    }
    page
}

fn line(key: &Key) -> String {
    let code = |text: &str| match text {
        "" => "–".to_owned(),
        text => format!("`{}`", text.trim_matches('"')),
    };
    let default = match key.otherwise {
        "" => code(key.default),
        otherwise => otherwise.to_owned(),
    };
    format!(
        "| `{}` | {} | {default} | {} | {} |\n",
        key.name,
        key.about,
        code(&key.variable()),
        code(key.flag),
    )
}
