//! Cells become JSON, straight from the driver's buffers.

use super::super::floor::{put_moment, put_text};

/// A cell with a value.
pub enum Cell<'a> {
    /// No value.
    Null,
    /// Text.
    Text(&'a [u8]),
    /// A UUID's bytes.
    Uuid([u8; 16]),
    /// A number.
    Integer(i64),
    /// Microseconds since 1970.
    Moment(i64),
}

/// The columns of both tables, as they begin in an object.
pub const ARTICLE: [&[u8]; 7] = [
    b"{\"id\":",
    b",\"title\":",
    b",\"body\":",
    b",\"status\":",
    b",\"author\":",
    b",\"created\":",
    b",\"updated\":",
];

/// Those of a post.
pub const POST: [&[u8]; 7] = [
    b"{\"id\":",
    b",\"title\":",
    b",\"body\":",
    b",\"status\":",
    b",\"author\":",
    b",\"topic\":",
    b",\"created\":",
];

/// A list that is begun.
pub struct List {
    out: Vec<u8>,
    limit: u32,
    count: u32,
    more: bool,
}

impl List {
    pub fn new(limit: u32) -> Self {
        let mut out = Vec::with_capacity(8 * 1024);
        out.extend_from_slice(b"{\"data\":[");
        Self {
            out,
            limit,
            count: 0,
            more: false,
        }
    }

    /// The place of the next record; none where there are more than asked for.
    pub fn next(&mut self) -> Option<&mut Vec<u8>> {
        if self.count == self.limit {
            self.more = true;
            return None;
        }
        if self.count > 0 {
            self.out.push(b',');
        }
        self.count += 1;
        Some(&mut self.out)
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(b"],\"page\":{\"limit\":");
        self.out
            .extend_from_slice(self.limit.to_string().as_bytes());
        self.out.extend_from_slice(if self.more {
            b",\"more\":true}}"
        } else {
            b",\"more\":false}}"
        });
        self.out
    }
}

/// Writes one.
pub fn put(out: &mut Vec<u8>, cell: &Cell<'_>) {
    match cell {
        Cell::Null => out.extend_from_slice(b"null"),
        Cell::Text(text) => put_text(out, text),
        Cell::Uuid(bytes) => put_uuid(out, bytes),
        Cell::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Cell::Moment(micros) => put_moment(out, *micros),
    }
}

fn put_uuid(out: &mut Vec<u8>, bytes: &[u8; 16]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for (place, byte) in bytes.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_with_its_dashes() {
        let mut out = vec![];
        let bytes = std::array::from_fn(|place| place as u8 * 17);
        put(&mut out, &Cell::Uuid(bytes));
        assert_eq!(out, b"\"00112233-4455-6677-8899-aabbccddeeff\"");
    }
}
