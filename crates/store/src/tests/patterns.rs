//! A regular expression matches the same in this program and, written down anew, on PostgreSQL.

use portreeve_testkit::postgres::Postgres;
use regex::Regex;

use crate::postgres::connect::Address;
use crate::postgres::session::Session;
use crate::sql::pattern;

const PATTERNS: &[&str] = &[
    "",
    "a",
    "^a",
    "a$",
    "^$",
    "^abc$",
    "ab|cd",
    "^(ab|cd)+$",
    "(?i)straße",
    "(?i)[a-c]x",
    "[^a]",
    "^[^a\\n]*$",
    ".",
    "(?s).",
    "^.$",
    "\\d+",
    "^\\w+$",
    "\\W",
    "\\s",
    "\\S\\s\\S",
    "\\bab\\b",
    "\\Bb",
    "(?-u:\\b)a",
    "(?m)^b$",
    "(?m)^$",
    "(?Rm)^b$",
    "a{3}",
    "a{2,}b",
    "^a{0,2}$",
    "^a{300}$",
    "^(?:ab?){1,260}$",
    "a*?b",
    "(a*)*b",
    "\\\\",
    "[\\]\\\\^-]",
    "[[:alpha:]]+",
    "\\.",
    "^\\+?[0-9]{3,15}$",
    "^[A-Z]{2}[0-9]{2}(?: ?[0-9]{4}){3,7}$",
    "\\p{Greek}",
    "^\\P{L}+$",
    "😀",
    "[😀-😂]",
    "\\x{e4}|ü",
    "(?x) a  b # spaces do not count",
    "\\A\\z",
    "x??y",
    "(?:)",
    "[a&&b]",
];

const TEXTS: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "abc",
    "ABC",
    "abcd",
    "cdab",
    "STRASSE",
    "Straße",
    "STRAẞE",
    "a\nb",
    "b\n",
    "\n",
    "a\r\nb\r\n",
    "a b",
    " ab ",
    "xab",
    "aab",
    "aaa",
    "aaab",
    "1",
    "+4912345",
    "DE44 5001 0517 5407 3249 31",
    "\\",
    "]",
    "^",
    ".",
    "ä",
    "Ä",
    "a\u{308}",
    "αβγ",
    "ſ",
    "K",
    "😀",
    "😁😂",
    "\u{a0}",
    "\u{2028}",
    "_",
    "١٢",
    "y",
    "\u{1}",
    "\u{10ffff}",
];

#[tokio::test]
async fn an_expression_matches_the_same_on_postgresql() {
    let database = Postgres::get().database();
    let address = Address::parse(&database.url()).expect("an address");
    let pool = address.pool(2).expect("a pool");
    let session = Session::of(&pool).await.expect("a connection");
    let long = "a".repeat(300);
    let ask = "SELECT $2::text COLLATE \"C\" ~ $1::text";
    let mut compared = 0;
    let (mut matched, mut wrong) = (0, vec![]);
    for written in PATTERNS {
        let regex = Regex::new(written).expect("an expression");
        let theirs = pattern::postgres(written);
        for text in TEXTS.iter().copied().chain([long.as_str()]) {
            let row = session.client().query_one(ask, &[&theirs, &text]).await;
            let row = row.unwrap_or_else(|error| panic!("{written}: {theirs}: {error:?}"));
            let found: bool = row.get(0);
            compared += 1;
            matched += usize::from(found);
            if found != regex.is_match(text) {
                wrong.push((written, text, found));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(matched > 100 && matched < compared - 100, "{matched}");
    portreeve_testkit::stats::count("expressions", "PostgreSQL", compared as u64);
}
