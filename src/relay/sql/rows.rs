//! From the answers of a database to rows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::database::Table;
use crate::relay::Identifier;
use crate::relay::outbox::Waiting;
use crate::relay::row::{Payload, Row};

/// So many bytes are in memory at once.
const MOST_BYTES: u64 = 16 << 20;

/// A row that is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub id: String,
    key: Option<String>,
    /// Of its payload; None where that is null.
    size: Option<u64>,
    /// Larger than a message may be.
    is_too_large: bool,
}

/// The first of `table` that go into memory together, `batch` at most, and whether there are more.
pub(super) fn choose(table: &Table, max_body: u64, batch: usize) -> (Vec<Candidate>, bool) {
    let mut chosen = Vec::new();
    let mut sum: u64 = 0;
    for row in &table.rows {
        let number = |place: usize| text(row, place)?.parse::<u64>().ok();
        let Some(id) = text(row, 0) else { continue };
        let (size, others) = (number(2), number(3).unwrap_or_default());
        let is_too_large = size.unwrap_or_default() > max_body || others > max_body;
        if !is_too_large {
            sum = sum.saturating_add(size.unwrap_or_default() + others);
        }
        if chosen.len() >= batch || (sum > MOST_BYTES && !chosen.is_empty()) {
            return (chosen, true);
        }
        chosen.push(Candidate {
            id: id.to_owned(),
            key: text(row, 1).map(str::to_owned),
            size: size.map(|size| size.max(if others > max_body { others } else { 0 })),
            is_too_large,
        });
    }
    (chosen, false)
}

/// How the payload stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Bytes,
    /// Of a type for JSON.
    Json,
    /// Bytes in hexadecimal digits.
    Hex,
}

/// The rows that were chosen, as far as they were locked, in their order. Behind one that somebody else has locked, none of
/// its key is taken.
pub(super) fn arranged(
    chosen: Vec<Candidate>,
    fetched: &Table,
    encoding: Encoding,
    names: &Arc<[Identifier]>,
) -> Vec<Row> {
    let locked = fetched.rows.iter();
    let locked: HashMap<&str, &Vec<Option<Bytes>>> = locked
        .filter_map(|row| Some((text(row, 0)?, row)))
        .collect();
    let mut passed = HashSet::new();
    let mut rows = Vec::with_capacity(chosen.len());
    for candidate in chosen {
        if candidate
            .key
            .as_ref()
            .is_some_and(|key| passed.contains(key))
        {
            continue;
        }
        let Some(row) = locked.get(candidate.id.as_str()) else {
            passed.extend(candidate.key);
            continue;
        };
        let values = (FIRST_VALUE..FIRST_VALUE + names.len()).map(|place| {
            let value = row.get(place)?.as_deref()?;
            Some(String::from_utf8_lossy(value).into_owned())
        });
        let payload = match (candidate.size, row.get(1).cloned().flatten()) {
            (size, _) if candidate.is_too_large => Payload::TooLarge(size.unwrap_or_default()),
            (_, Some(bytes)) => decoded(bytes, encoding),
            (None, None) => Payload::Null,
            // It has grown since it was chosen.
            (Some(size), None) => Payload::TooLarge(size),
        };
        rows.push(Row {
            values: values.collect(),
            names: names.clone(),
            payload,
            attempts: text(row, 2)
                .and_then(|text| text.parse().ok())
                .unwrap_or_default(),
            id: candidate.id,
            key: candidate.key,
        });
    }
    rows
}

fn decoded(bytes: Bytes, encoding: Encoding) -> Payload {
    match encoding {
        Encoding::Bytes => Payload::Bytes(bytes),
        Encoding::Json => Payload::Json(bytes),
        Encoding::Hex => Payload::Bytes(of_hex(&bytes).into()),
    }
}

/// The bytes that hexadecimal digits stand for; what is none is left out.
fn of_hex(digits: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// What a database says of how much waits.
pub(super) fn waiting(table: &Table) -> Waiting {
    let first = table.rows.first().map(Vec::as_slice).unwrap_or_default();
    let number = |place| text(first, place)?.parse::<u64>().ok();
    let oldest = text(first, 1).and_then(|text| text.parse::<f64>().ok());
    Waiting {
        rows: number(0).unwrap_or_default(),
        // Clocks differ.
        oldest: oldest.map(|age| Duration::try_from_secs_f64(age.max(0.0)).unwrap_or_default()),
        aside: number(2),
    }
}

/// Whether the first value of an answer is true, or it has none.
pub(super) fn is_true_or_none(table: &Table) -> bool {
    let first = table.rows.first().and_then(|row| text(row, 0));
    first.is_none_or(|text| text == "t")
}

/// Behind the id, the payload and the attempts.
const FIRST_VALUE: usize = 3;

fn text(row: &[Option<Bytes>], place: usize) -> Option<&str> {
    std::str::from_utf8(row.get(place)?.as_deref()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[&[Option<&'static str>]]) -> Table {
        let bytes =
            |value: &Option<&'static str>| value.map(|text| Bytes::from_static(text.as_bytes()));
        Table {
            rows: rows
                .iter()
                .map(|row| row.iter().map(bytes).collect())
                .collect(),
            ..Table::default()
        }
    }

    fn ids(rows: &[Row]) -> Vec<&str> {
        rows.iter().map(|row| row.id.as_str()).collect()
    }

    #[test]
    fn so_many_are_chosen_as_memory_allows() {
        let large = "6291456";
        let row = |id| vec![Some(id), None, Some(large), Some("0")];
        let rows = [row("1"), row("2"), row("3"), row("4")];
        let rows: Vec<&[Option<&'static str>]> = rows.iter().map(Vec::as_slice).collect();
        let (chosen, more) = choose(&table(&rows), 8 << 20, 100);
        assert_eq!((chosen.len(), more), (2, true));
        // What is not read costs nothing.
        let (chosen, more) = choose(&table(&rows), 1 << 20, 100);
        assert_eq!((chosen.len(), more), (4, false));
        assert!(chosen.iter().all(|one| one.is_too_large));
        let (chosen, more) = choose(&table(&rows), 1 << 20, 3);
        assert_eq!((chosen.len(), more), (3, true));
        // One that is larger than all that may be there at once has to go as well.
        let huge = [&[Some("1"), None, Some("99999999"), Some("0")][..]];
        assert_eq!(choose(&table(&huge), 1 << 30, 100).0.len(), 1);
    }

    #[test]
    fn a_row_that_somebody_else_has_locked_holds_back_its_key() {
        let row = |id, key| [Some(id), key, Some("1"), Some("0")];
        let all = [
            row("1", Some("a")),
            row("2", Some("b")),
            row("3", Some("a")),
            row("4", None),
            row("5", None),
        ];
        let all: Vec<&[Option<&'static str>]> = all.iter().map(|row| &row[..]).collect();
        let (chosen, _) = choose(&table(&all), 100, 100);
        let locked = |id| vec![Some(id), Some("x"), Some("2")];
        let fetched = [locked("5"), locked("3"), locked("2")];
        let fetched: Vec<&[Option<&'static str>]> = fetched.iter().map(Vec::as_slice).collect();
        let names: Arc<[Identifier]> = Arc::new([]);
        let rows = arranged(chosen, &table(&fetched), Encoding::Bytes, &names);
        assert_eq!(ids(&rows), ["2", "5"]);
        assert_eq!(rows[0].attempts, 2);
    }

    #[test]
    fn a_payload_is_what_the_column_has() {
        for (text, encoding, payload) in [
            ("{}", Encoding::Json, Payload::Json("{}".into())),
            ("00fF", Encoding::Hex, Payload::Bytes(vec![0, 255].into())),
            ("00ff", Encoding::Bytes, Payload::Bytes("00ff".into())),
        ] {
            assert_eq!(decoded(text.into(), encoding), payload);
        }
    }

    #[test]
    fn what_waits_is_read() {
        let told = waiting(&table(&[&[Some("5"), Some("-0.5"), None]]));
        assert_eq!(
            told,
            Waiting {
                rows: 5,
                oldest: Some(Duration::ZERO),
                aside: None
            }
        );
        assert!(is_true_or_none(&table(&[&[Some("t")]])) && is_true_or_none(&table(&[])));
        assert!(!is_true_or_none(&table(&[&[Some("f")]])));
    }
}
