//! Sums and means that are exact, whatever the order of the rows. SQLite's own `sum` fails where a partial sum is out of
//! range though the whole is not, and its `avg` adds integers as floats.

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result, ffi};

/// What tells that a sum is out of range: SQLite's own code for a parameter that is not there, which we never bind.
pub(super) const OUT_OF_RANGE: std::ffi::c_int = ffi::SQLITE_RANGE;

/// Makes `portreeve_sum(x)` and `portreeve_avg(x, decimal places)` known.
pub(super) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_aggregate_function("portreeve_sum", 1, flags, Sum)?;
    connection.create_aggregate_function("portreeve_avg", 2, flags, Average)
}

// Fewer than 2^63 rows of 64 bits each: the whole part always fits.
#[derive(Default)]
struct Added {
    whole: i128,
    real: f64,
    is_real: bool,
    count: i128,
    scale: i64,
}

impl Added {
    fn add(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Integer(number) => self.whole += i128::from(number),
            ValueRef::Real(float) => {
                self.real += float;
                self.is_real = true;
            }
            ValueRef::Null | ValueRef::Text(_) | ValueRef::Blob(_) => return,
        }
        self.count += 1;
    }

    fn as_float(&self) -> f64 {
        self.whole as f64 + self.real
    }
}

fn finite(float: f64) -> Result<f64> {
    if float.is_finite() {
        Ok(float)
    } else {
        Err(out_of_range())
    }
}

fn out_of_range() -> Error {
    // With a message, SQLite would forget the code.
    Error::SqliteFailure(ffi::Error::new(OUT_OF_RANGE), None)
}

struct Sum;

impl Aggregate<Added, Option<rusqlite::types::Value>> for Sum {
    fn init(&self, _: &mut Context<'_>) -> Result<Added> {
        Ok(Added::default())
    }

    fn step(&self, context: &mut Context<'_>, added: &mut Added) -> Result<()> {
        added.add(context.get_raw(0));
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        added: Option<Added>,
    ) -> Result<Option<rusqlite::types::Value>> {
        use rusqlite::types::Value;
        let Some(added) = added.filter(|added| added.count > 0) else {
            return Ok(None);
        };
        Ok(Some(if added.is_real {
            Value::Real(finite(added.as_float())?)
        } else {
            Value::Integer(i64::try_from(added.whole).map_err(|_| out_of_range())?)
        }))
    }
}

struct Average;

impl Aggregate<Added, Option<f64>> for Average {
    fn init(&self, _: &mut Context<'_>) -> Result<Added> {
        Ok(Added::default())
    }

    fn step(&self, context: &mut Context<'_>, added: &mut Added) -> Result<()> {
        added.scale = context.get(1)?;
        added.add(context.get_raw(0));
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, added: Option<Added>) -> Result<Option<f64>> {
        let Some(added) = added.filter(|added| added.count > 0) else {
            return Ok(None);
        };
        let scale = u32::try_from(added.scale).unwrap_or(0).min(18);
        let divisor = added.count.saturating_mul(10_i128.pow(scale));
        finite(added.as_float() / divisor as f64).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask<T: rusqlite::types::FromSql>(expression: &str, rows: &str) -> Result<T> {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        let sql = format!("SELECT {expression} FROM (VALUES {rows})");
        connection.query_row(&sql, [], |row| row.get(0))
    }

    #[test]
    fn sums_do_not_depend_on_the_order_of_their_rows() {
        let most = i64::MAX;
        for rows in [
            format!("({most}), (1), (-1), (NULL)"),
            format!("(-1), ({most}), (NULL), (1)"),
        ] {
            assert_eq!(ask::<i64>("portreeve_sum(column1)", &rows), Ok(most));
        }
        let over = ask::<i64>("portreeve_sum(column1)", &format!("({most}), (1)")).unwrap_err();
        let Error::SqliteFailure(error, _) = over else {
            panic!("{over:?}")
        };
        assert_eq!(error.extended_code, OUT_OF_RANGE);
        assert_eq!(
            ask::<Option<i64>>("portreeve_sum(column1)", "(NULL)"),
            Ok(None)
        );
    }

    #[test]
    fn means_are_of_the_exact_sum() {
        let most = i64::MAX;
        let rows = format!("({most}), ({most}), (1)");
        let mean = ask::<f64>("portreeve_avg(column1, 0)", &rows);
        assert_eq!(mean, Ok((2 * i128::from(most) + 1) as f64 / 3.0));
        assert_eq!(ask("portreeve_avg(column1, 2)", "(125), (150)"), Ok(1.375));
        assert_eq!(
            ask::<Option<f64>>("portreeve_avg(column1, 2)", "(NULL)"),
            Ok(None)
        );
        assert!(ask::<f64>("portreeve_avg(column1, 0)", "(1.7e308), (1.7e308)").is_err());
    }
}
