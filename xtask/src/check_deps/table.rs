//! The table of allowed dependencies, as it stands between two comments in ARCHITECTURE.md.

use anyhow::{Result, bail};

const BEGIN: &str = "<!-- check-deps:begin -->";
const END: &str = "<!-- check-deps:end -->";

/// Every row of the table.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Row>,
}

/// One crate, or with `*` all crates of one folder, and what it may use.
#[derive(Debug)]
pub struct Row {
    /// Folder of the crate, below `crates/` or at the root: `model`, `faces/*`, `xtask`.
    pub pattern: String,
    /// Same form; `all` stands for everything that is shipped.
    pub may_use: Vec<String>,
}

impl Table {
    /// Reads the page. Anything unclear is an error: a row that was silently skipped would be a rule that silently fell.
    pub fn parse(page: &str) -> Result<Table> {
        let mut rows: Vec<Row> = Vec::new();
        let mut seen_header = false;
        for (number, line) in marked(page)? {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let Some(cells) = cells(line) else {
                bail!("line {number}: not a row of the table: {line}");
            };
            if cells.len() != 3 {
                bail!("line {number}: {} cells instead of 3", cells.len());
            }
            if !seen_header {
                if cells[0] != "crate" {
                    bail!("line {number}: the table must begin with its header `| crate | …`");
                }
                seen_header = true;
                continue;
            }
            if cells.iter().all(|cell| is_rule(cell)) {
                continue;
            }
            let row = Row {
                pattern: cells[0].clone(),
                may_use: list(&cells[1]),
            };
            if row.pattern.is_empty() || row.may_use.iter().any(String::is_empty) {
                bail!("line {number}: an empty name");
            }
            if rows.iter().any(|other| other.pattern == row.pattern) {
                bail!("line {number}: a second row for `{}`", row.pattern);
            }
            rows.push(row);
        }
        if rows.is_empty() {
            bail!("the table between {BEGIN} and {END} has no rows");
        }
        Ok(Table { rows })
    }

    /// The row of a crate: its own, or that of its folder.
    pub fn row(&self, key: &str) -> Option<&Row> {
        self.rows
            .iter()
            .find(|row| row.pattern == key)
            .or_else(|| self.rows.iter().find(|row| matches(&row.pattern, key)))
    }

    /// All rows, in the page's order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

/// Does `pattern` (`model`, `faces/*`) name the crate in `key`?
pub fn matches(pattern: &str, key: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(folder) => key
            .strip_prefix(folder)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|name| !name.is_empty() && !name.contains('/')),
        None => pattern == key,
    }
}

/// The lines between the marks, with their numbers in the page.
fn marked(page: &str) -> Result<Vec<(usize, &str)>> {
    let lines: Vec<(usize, &str)> = (1..).zip(page.lines()).collect();
    let place = |mark: &str| -> Result<usize> {
        let mut places = lines
            .iter()
            .enumerate()
            .filter(|(_, (_, line))| line.trim() == mark)
            .map(|(index, _)| index);
        match (places.next(), places.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => bail!("no line `{mark}`"),
            (Some(_), Some(_)) => bail!("more than one line `{mark}`"),
        }
    };
    let (begin, end) = (place(BEGIN)?, place(END)?);
    if end < begin {
        bail!("`{END}` stands before `{BEGIN}`");
    }
    Ok(lines[begin + 1..end].to_vec())
}

fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(
        inner
            .split('|')
            .map(|cell| cell.trim().replace('`', ""))
            .collect(),
    )
}

fn is_rule(cell: &str) -> bool {
    !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':'))
}

fn list(cell: &str) -> Vec<String> {
    match cell {
        "–" | "—" | "-" | "none" => Vec::new(),
        names => names
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &str) -> String {
        format!(
            "# Page\n\n| crate | of another table |\n\n{BEGIN}\n\n| crate | may use, of ours | notable others |\n\
             | --- | :-- | --- |\n{rows}\n{END}\n\nafter\n"
        )
    }

    #[test]
    fn a_row_gives_its_names() {
        let table = Table::parse(&page(
            "| `model` | – | serde |\n| gate | `model`, policy | |\n| server | all | clap |",
        ))
        .unwrap();
        assert!(table.row("model").unwrap().may_use.is_empty());
        assert_eq!(table.row("gate").unwrap().may_use, ["model", "policy"]);
        assert_eq!(table.row("server").unwrap().may_use, ["all"]);
        assert!(table.row("store").is_none());
    }

    #[test]
    fn a_star_covers_one_folder_level_and_yields_to_a_row_of_its_own() {
        let table =
            Table::parse(&page("| faces/* | model | |\n| faces/native | service | |")).unwrap();
        assert_eq!(table.row("faces/kuzzle").unwrap().may_use, ["model"]);
        assert_eq!(table.row("faces/native").unwrap().may_use, ["service"]);
        assert!(table.row("faces").is_none());
        assert!(table.row("faces/native/macros").is_none());
        assert!(table.row("facesx").is_none());
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_line() {
        let cases = [
            ("| model | – |", "line 9: 2 cells"),
            ("model: nothing", "line 9: not a row"),
            ("| model | – | |\n| model | – | |", "line 10: a second row"),
            ("| model | policy,, gate | |", "line 9: an empty name"),
            ("| model | | |", "line 9: an empty name"),
            ("", "has no rows"),
        ];
        for (rows, expected) in cases {
            let error = Table::parse(&page(rows)).unwrap_err().to_string();
            assert!(error.contains(expected), "{rows:?}: {error}");
        }
    }

    #[test]
    fn the_marks_must_stand_once_and_in_order() {
        let good = page("| model | – | |");
        assert!(Table::parse(&good.replace(END, "")).is_err());
        assert!(Table::parse(&format!("{good}{BEGIN}\n")).is_err());
        assert!(Table::parse(&format!("{END}\n{BEGIN}\n")).is_err());
    }
}
