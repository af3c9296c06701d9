//! Records straight to bytes.

use portreeve_model::{Cells, Columns, RecordSink, write_json_record};

/// Writes records as JSON objects with commas between them, behind whatever the face has opened its answer with. No
/// value is owned in between (measured: owned values double the cost of a list).
#[derive(Debug)]
pub struct JsonSink {
    bytes: Vec<u8>,
    opening: usize,
    count: usize,
}

impl JsonSink {
    /// A sink for an answer that begins so, with room for this many bytes.
    pub fn new(opening: &[u8], capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity.max(opening.len()));
        bytes.extend_from_slice(opening);
        Self {
            bytes,
            opening: opening.len(),
            count: 0,
        }
    }

    /// How many records it has taken.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The answer so far, for the face to close.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl RecordSink for JsonSink {
    fn record(&mut self, columns: &Columns, cells: &dyn Cells) {
        if self.count > 0 {
            self.bytes.push(b',');
        }
        self.count += 1;
        write_json_record(&mut self.bytes, columns, cells);
    }

    fn reset(&mut self) {
        self.bytes.truncate(self.opening);
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use portreeve_model::{Column, ColumnKind, FieldType, OwnedCell, OwnedCells};

    use super::*;

    #[test]
    fn records_are_written_behind_the_opening_and_forgotten_on_reset() {
        let columns = Columns {
            list: vec![Column {
                name: "score".into(),
                kind: ColumnKind::Scalar(FieldType::Integer),
            }],
        };
        let mut sink = JsonSink::new(b"{\"data\":[", 64);
        for score in [1, 2] {
            sink.record(&columns, &OwnedCells(vec![OwnedCell::Integer(score)]));
        }
        sink.reset();
        for score in [3, 4] {
            sink.record(&columns, &OwnedCells(vec![OwnedCell::Integer(score)]));
        }
        assert_eq!(sink.count(), 2);
        assert_eq!(sink.into_bytes(), b"{\"data\":[{\"score\":3},{\"score\":4}");
    }
}
