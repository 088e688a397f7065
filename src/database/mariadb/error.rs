//! What the server says when something failed (MariaDB's documentation, "MariaDB Error Code Reference").

use super::packet::Fields;
use crate::database::{Constraint, Effects, Failure, server};

/// An error of the server. Its message may have values in it, so it is shown to operators only, and only when there is no
/// connection, or when the server had no value yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    pub number: u16,
    /// The SQLSTATE, where it was told.
    state: String,
    message: String,
    /// It is about the text of a statement, of whose values the server knows nothing yet.
    pub of_text: bool,
}

impl ServerError {
    pub fn read(body: &[u8]) -> Self {
        let mut fields = Fields(body.get(1..).unwrap_or_default());
        let number = fields.u16().unwrap_or(0);
        let mut state = String::new();
        if let Some(rest) = fields.0.strip_prefix(b"#") {
            fields.0 = rest;
            let bytes = fields.take(5).unwrap_or_default();
            state = String::from_utf8_lossy(bytes).into_owned();
        }
        ServerError {
            number,
            state,
            message: String::from_utf8_lossy(fields.0).into_owned(),
            of_text: false,
        }
    }

    /// For operators.
    pub fn told(&self) -> String {
        format!("{} (error {})", self.message, self.number)
    }

    /// What was prepared does not fit any more, or is not there: nothing was run.
    pub fn is_stale_plan(&self) -> bool {
        matches!(self.number, 1243 | 1615)
    }

    /// Whether its message has no value: that of a statement, or one about what the user or the server may do.
    fn is_without_values(&self) -> bool {
        self.of_text || matches!(self.number, 1142 | 1143 | 1227 | 1290 | 1370 | 1792)
    }

    fn bad_value(&self) -> Failure {
        let column = self.last_column();
        Failure::BadValue(
            None,
            match column {
                Some(column) => format!(
                    "a value is not what the column `{column}` takes (error {})",
                    self.number
                ),
                None => format!(
                    "a value is not what the database takes (error {})",
                    self.number
                ),
            },
        )
    }

    /// What stands behind the last `mark`, up to `end`. Values stand before names in messages, so that none is taken for one.
    fn behind(&self, mark: &str, end: char) -> Option<&str> {
        let (_, behind) = self.message.rsplit_once(mark)?;
        let (name, _) = behind.split_once(end)?;
        Some(name)
    }

    /// In messages that begin with the name, and have no value.
    fn first_quoted(&self) -> Option<&str> {
        let (_, behind) = self.message.split_once('\'')?;
        Some(behind.split_once('\'')?.0)
    }

    /// The column that a message ends with: ``for column `db`.`t`.`n` at row 1``, or `for column 'n' at row 1`.
    fn last_column(&self) -> Option<&str> {
        let (_, behind) = self.message.rsplit_once(" for column ")?;
        let (name, _) = behind.rsplit_once(" at row ")?;
        let name = name.rsplit('.').next()?;
        Some(name.trim_matches(['`', '\'']))
    }
}

impl server::ServerError for ServerError {
    fn is_fatal(&self) -> bool {
        matches!(self.number, 1040 | 1053 | 1152..=1161 | 1184 | 1927 | 4031)
    }

    fn into_failure(self) -> Failure {
        let unavailable = |why: &str| Failure::Unavailable(why.to_owned());
        match self.number {
            1022 | 1062 | 1169 | 1586 | 1761 | 1762 => {
                let key = self.behind("' for key '", '\'');
                let key = key.map(|key| key.rsplit('.').next().unwrap_or(key));
                Failure::Constraint(Constraint::Unique, key.map(str::to_owned))
            }
            1216 | 1217 | 1451 | 1452 => {
                let name = self.behind("CONSTRAINT `", '`');
                Failure::Constraint(Constraint::ForeignKey, name.map(str::to_owned))
            }
            1048 | 1263 | 1364 | 1566 => {
                let column = self.first_quoted();
                Failure::Constraint(Constraint::NotNull, column.map(str::to_owned))
            }
            4025 => {
                let name = self.behind("CONSTRAINT `", '`');
                let name = name.map(|name| name.rsplit('.').next().unwrap_or(name));
                Failure::Constraint(Constraint::Check, name.map(str::to_owned))
            }
            3819 => {
                let name = self.first_quoted();
                Failure::Constraint(Constraint::Check, name.map(str::to_owned))
            }
            1213 => Failure::Conflict("deadlock_detected"),
            1205 => Failure::Conflict("lock_not_available"),
            1020 => Failure::Conflict("serialization_failure"),
            3572 => Failure::Locked,
            1317 | 1969 | 3024 => Failure::Timeout(Effects::None),
            1644 => Failure::Raised,
            // A node of a cluster that has lost the others calls each command unknown.
            1047 | 1053 | 1927 | 4031 => unavailable("the database ended the connection"),
            1021 | 1037 | 1038 | 1040 | 1041 | 1114 | 1203 | 1226 | 1461 => {
                unavailable("the database has no room for this now")
            }
            1153 => Failure::BadValue(
                None,
                "the values are larger than the database takes (`max_allowed_packet`)".to_owned(),
            ),
            1264 | 1265 | 1292 | 1365 | 1366 | 1367 | 1406 | 1411 | 1416 | 1441 | 1690 | 3140
            | 4038 => self.bad_value(),
            _ if self.state.starts_with("22") => self.bad_value(),
            _ if self.state == "45000" => Failure::Raised,
            number => Failure::Refused {
                code: match self.state.as_str() {
                    "" => format!("HY000, error {number}"),
                    state => format!("{state}, error {number}"),
                },
                told: self.is_without_values().then_some(self.message),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::server::ServerError as _;
    use super::*;

    fn error(number: u16, state: &str, message: &str) -> Failure {
        let mut body = vec![0xff];
        body.extend_from_slice(&number.to_le_bytes());
        body.push(b'#');
        body.extend_from_slice(state.as_bytes());
        body.extend_from_slice(message.as_bytes());
        ServerError::read(&body).into_failure()
    }

    #[test]
    fn an_error_is_one_of_its_class_and_tells_no_value() {
        let named = |kind, name: &str| Failure::Constraint(kind, Some(name.to_owned()));
        for (number, state, message, expected) in [
            (
                1062,
                "23000",
                "Duplicate entry 'hush' for key 'x' for key 'only'",
                named(Constraint::Unique, "only"),
            ),
            (
                1062,
                "23000",
                "Duplicate entry 'hush' for key 't.PRIMARY'",
                named(Constraint::Unique, "PRIMARY"),
            ),
            (
                1452,
                "23000",
                "Cannot add or update a child row: a foreign key constraint fails (`d`.`t`, CONSTRAINT `known` FOREIGN KEY (`p`) REFERENCES `u` (`id`))",
                named(Constraint::ForeignKey, "known"),
            ),
            (
                1048,
                "23000",
                "Column 'n' cannot be null",
                named(Constraint::NotNull, "n"),
            ),
            (
                1364,
                "HY000",
                "Field 'n' doesn't have a default value",
                named(Constraint::NotNull, "n"),
            ),
            (
                4025,
                "23000",
                "CONSTRAINT `t.n` failed for `d`.`t`",
                named(Constraint::Check, "n"),
            ),
            (
                3819,
                "HY000",
                "Check constraint 'positive' is violated.",
                named(Constraint::Check, "positive"),
            ),
            (1644, "45000", "hush", Failure::Raised),
            (
                1146,
                "42S02",
                "Table 'hush' doesn't exist",
                Failure::refused("42S02, error 1146"),
            ),
        ] {
            assert_eq!(error(number, state, message), expected, "{message}");
        }
        let mut missing = ServerError {
            number: 1146,
            message: "Table 'nowhere' doesn't exist".to_owned(),
            of_text: true,
            ..ServerError::default()
        };
        let told = |error: &ServerError| match error.clone().into_failure() {
            Failure::Refused { told, .. } => told,
            other => panic!("{other:?}"),
        };
        assert!(told(&missing).unwrap().contains("nowhere"));
        missing.of_text = false;
        assert_eq!(told(&missing), None);
        for message in [
            "Incorrect integer value: 'hush for column x' for column `d`.`t`.`n` at row 1",
            "Data too long for column 'n' at row 1",
        ] {
            let bad = format!("{:?}", error(1366, "22007", message));
            assert!(bad.contains("`n`") && !bad.contains("hush"), "{bad}");
        }
        assert!(ServerError::read(b"\xff\x10\x04Too many connections").is_fatal());
        assert_eq!(ServerError::read(b"\xff").number, 0);
    }
}
