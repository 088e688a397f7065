//! What the server says when something failed (PostgreSQL's documentation, appendix A).

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{CommandCompleteBody, ErrorResponseBody};

use crate::database::{Constraint, Effects, Failure, server};

/// An error of the server. Its message may have values in it, so it is shown to operators only, and only when there is no
/// connection, or when it is about the text of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ServerError {
    /// The SQLSTATE.
    pub code: String,
    pub message: String,
    /// Where in the statement, in characters from 1.
    pub position: Option<usize>,
    /// The connection ends with it.
    pub is_fatal: bool,
    constraint: Option<String>,
    column: Option<String>,
    /// Where it happened: values are in it, and the numbers of parameters.
    context: String,
}

impl ServerError {
    /// For operators.
    pub(super) fn in_words(&self) -> String {
        let ServerError { message, code, .. } = self;
        match self.position {
            Some(place) => format!("{message} (SQLSTATE {code}, at character {place})"),
            None => format!("{message} (SQLSTATE {code})"),
        }
    }

    pub fn read(body: &ErrorResponseBody) -> Self {
        let mut error = ServerError::default();
        let mut fields = body.fields();
        while let Ok(Some(field)) = fields.next() {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'V' => error.is_fatal = text == "FATAL" || text == "PANIC",
                b'C' => error.code = text,
                b'M' => error.message = text,
                b'P' => error.position = text.parse().ok(),
                b'n' => error.constraint = Some(text),
                b'c' => error.column = Some(text),
                b'W' => error.context = text,
                _ => {}
            }
        }
        error
    }

    /// The plan of a prepared statement does not fit any more, or it is not there: nothing was run.
    pub fn is_stale_plan(&self) -> bool {
        matches!(self.code.as_str(), "0A000" | "26000" | "42P05")
    }

    /// Whether its message has no value. Only what is found when a statement is read has a place in it, and of what is found
    /// later, what the user or the transaction may do is about tables; functions may have made up anything.
    fn is_without_values(&self) -> bool {
        let is_about_rights = matches!(self.code.as_str(), "42501" | "25006");
        self.context.is_empty() && (self.position.is_some() || is_about_rights)
    }

    /// The parameter that the context names, from 0: `unnamed portal parameter $2 = '...'`.
    fn parameter(&self) -> Option<usize> {
        let (_, behind) = self.context.split_once("parameter $")?;
        let digits = behind.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<usize>().ok()?.checked_sub(1)
    }
}

impl server::ServerError for ServerError {
    fn is_fatal(&self) -> bool {
        self.is_fatal
    }

    /// A pooler tells of it so.
    fn is_of_the_way(&self) -> bool {
        self.code.starts_with("08")
    }

    fn into_failure(self) -> Failure {
        if self.is_of_the_way() {
            return Failure::Broken("the way to the database broke".to_owned());
        }
        let constraint = |kind| Failure::Constraint(kind, self.constraint.clone());
        match self.code.as_str() {
            "23505" => constraint(Constraint::Unique),
            "23503" | "23001" => constraint(Constraint::ForeignKey),
            "23P01" => constraint(Constraint::Exclusion),
            "23514" => constraint(Constraint::Check),
            "23502" => Failure::Constraint(Constraint::NotNull, self.column),
            "40001" | "40002" => Failure::Conflict("serialization_failure"),
            "40P01" => Failure::Conflict("deadlock_detected"),
            "55P03" => Failure::Locked,
            "57014" => Failure::Timeout(Effects::None),
            "P0001" => Failure::Raised,
            // The server ends, begins or has no room: nothing was done.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => {
                Failure::Unavailable("the database ended the connection".to_owned())
            }
            code if code.starts_with("53") => {
                Failure::Unavailable("the database has no room for this now".to_owned())
            }
            code if code.starts_with("22") => {
                let detail = format!("a value is not what the database takes (SQLSTATE {code})");
                Failure::BadValue(self.parameter(), detail)
            }
            _ => {
                let told = self.is_without_values().then(|| self.in_words());
                let code = self.code;
                Failure::Refused { code, told }
            }
        }
    }
}

/// Reads how many rows a command changed or gave off its tag: `INSERT 0 5`, `SELECT 3`.
pub(super) fn affected(body: &CommandCompleteBody) -> (&str, u64) {
    let tag = body.tag().unwrap_or_default();
    let word = tag.split(' ').next().unwrap_or_default();
    let count = tag.rsplit(' ').next().and_then(|count| count.parse().ok());
    (word, count.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::server::ServerError as _;
    use super::*;
    use bytes::BytesMut;
    use postgres_protocol::message::backend::Message;

    fn message(kind: u8, body: &[u8]) -> Message {
        let mut message = BytesMut::from(&[kind, 0, 0, 0][..]);
        message.extend_from_slice(&[u8::try_from(body.len() + 4).unwrap()]);
        message.extend_from_slice(body);
        Message::parse(&mut message).unwrap().unwrap()
    }

    fn read(body: &[u8]) -> ServerError {
        match message(b'E', body) {
            Message::ErrorResponse(body) => ServerError::read(&body),
            _ => unreachable!(),
        }
    }

    fn error(fields: &[(u8, &str)]) -> ServerError {
        let mut body = Vec::new();
        for (kind, text) in fields {
            body.push(*kind);
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        body.push(0);
        read(&body)
    }

    #[test]
    fn an_error_is_one_of_its_class_and_tells_no_value() {
        let unique = error(&[
            (b'V', "ERROR"),
            (b'C', "23505"),
            (b'M', "Key (a)=(hush) already exists"),
            (b'n', "t_a_key"),
        ]);
        let expected = Failure::Constraint(Constraint::Unique, Some("t_a_key".to_owned()));
        assert_eq!(unique.into_failure(), expected);
        let bad = error(&[
            (b'C', "22007"),
            (b'M', "invalid input syntax for type date: \"hush\""),
            (b'W', "unnamed portal parameter $2 = 'hush'"),
        ]);
        let bad = bad.into_failure();
        assert!(matches!(bad, Failure::BadValue(Some(1), _)));
        assert!(!format!("{bad:?}").contains("hush"));
        assert!(error(&[(b'V', "FATAL"), (b'C', "57P01")]).is_fatal);
        assert_eq!(read(b"C"), ServerError::default());
    }

    #[test]
    fn a_sentence_is_told_where_it_is_about_the_statement_alone() {
        let told = |fields: &[(u8, &str)]| match error(fields).into_failure() {
            Failure::Refused { told, .. } => told,
            other => panic!("{other:?}"),
        };
        let missing = (b'M', "relation \"nowhere\" does not exist");
        assert_eq!(
            told(&[(b'C', "42P01"), missing, (b'P', "13")]).unwrap(),
            "relation \"nowhere\" does not exist (SQLSTATE 42P01, at character 13)"
        );
        // `to_regclass($1)` and `to_tsquery($1)` have codes of the same class.
        let value = (b'M', "syntax error in tsquery: \"hush\"");
        assert_eq!(told(&[(b'C', "42601"), value]), None);
        let function = (b'W', "PL/pgSQL function f() line 1 at EXECUTE");
        assert_eq!(told(&[(b'C', "42703"), value, (b'P', "8"), function]), None);
        let rights = (b'M', "permission denied for table t");
        assert!(told(&[(b'C', "42501"), rights]).is_some());
        assert_eq!(told(&[(b'C', "42501"), value, function]), None);
    }

    #[test]
    fn a_tag_tells_what_was_done() {
        for (tag, word, count) in [
            (&b"INSERT 0 5\0"[..], "INSERT", 5),
            (b"ROLLBACK\0", "ROLLBACK", 0),
            (b"\xff\0", "", 0),
        ] {
            match message(b'C', tag) {
                Message::CommandComplete(body) => assert_eq!(affected(&body), (word, count)),
                _ => unreachable!(),
            }
        }
    }
}
