//! What the caller is told of its statement.

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::config::ParameterConfig;
use super::parameters::{BAD_VALUE, bad};
use crate::database::{Constraint, Effects, Failure, Shape};
use crate::http::body::Body;
use crate::http::error::{Error, METHOD_NOT_ALLOWED, OVERLOADED, Progress, Reason};
use crate::http::fault::Fault;
use crate::http::message::{Request, Response};

const UNIQUE: Reason = Reason::new("unique_violation", 409);
const FOREIGN_KEY: Reason = Reason::new("foreign_key_violation", 409);
const EXCLUSION: Reason = Reason::new("exclusion_violation", 409);
const NOT_NULL: Reason = Reason::new("not_null_violation", 400);
const CHECK: Reason = Reason::new("check_violation", 400);
/// The statement raised an error of its own (SQLSTATE P0001, 45000).
const RAISED: Reason = Reason::new("raised_exception", 400);
/// No row, where one was wanted.
const NO_ROW: Reason = Reason::new("no_row", 404);
/// Two rows or more, where one was wanted.
const MORE_THAN_ONE_ROW: Reason = Reason::new("more_than_one_row", 500);
/// There is no room on the database's disk.
const DISK_FULL: Reason = Reason::new("disk_full", 507);
const RESULT_TOO_LARGE: Reason = Reason::new("result_too_large", 413);
/// The database takes the statement for wrong, or forbidden.
const STATEMENT_REFUSED: Reason = Reason::new("statement_refused", 500);
const LOCK_NOT_AVAILABLE: Reason = Reason::new("lock_not_available", 503);
const SERIALIZATION_FAILURE: Reason = Reason::new("serialization_failure", 503);
const DEADLOCK_DETECTED: Reason = Reason::new("deadlock_detected", 503);
/// No connection to the database, or one that broke while something was read.
const DATABASE_UNAVAILABLE: Reason = Reason::new("database_unavailable", 503).by(Fault::Connect);
const DATABASE_LOST: Reason = Reason::new("database_unavailable", 503).by(Fault::Reset);
const STATEMENT_TIMEOUT: Reason = Reason::new("statement_timeout", 504).by(Fault::Timeout);
/// It was sent, and whether it was carried out is not known.
const OUTCOME_UNKNOWN: Reason = Reason::new("outcome_unknown", 504).by(Fault::Reset);
/// A call of gRPC, whose caller would take any answer for a broken one.
const BAD_REQUEST: Reason = Reason::new("bad_request", 400);

const LINES: &str = "application/x-ndjson";
/// The longest sentence of a database, in bytes.
const LONGEST: usize = 500;
static RETRY_AFTER: HeaderName = header::RETRY_AFTER;

/// The answer for a statement that was carried out.
pub(super) fn of(shape: Shape, body: Body, is_lines: bool) -> Response {
    if shape == Shape::None {
        return Response::new(StatusCode::NO_CONTENT, Body::empty());
    }
    let mut response = Response::new(StatusCode::OK, body);
    let kind = if is_lines { LINES } else { "application/json" };
    let kind = HeaderValue::from_static(kind);
    response.headers.insert(&header::CONTENT_TYPE, &kind);
    if shape == Shape::Many {
        let vary = HeaderValue::from_static("accept");
        response.headers.insert(&header::VARY, &vary);
    }
    response
}

/// Whether the caller asks for a line a row.
pub(super) fn wants_lines(request: &Request) -> bool {
    let accepted = request.headers.get_str(&header::ACCEPT).unwrap_or_default();
    accepted.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_it = parts
            .next()
            .is_some_and(|kind| kind.eq_ignore_ascii_case(LINES));
        is_it && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// The failure of a request by a method that shall change nothing.
pub(super) fn not_allowed(method: &Method) -> Error {
    let detail = format!("{method} changes nothing, and this statement may");
    let error = Error::new(METHOD_NOT_ALLOWED, detail);
    error.with_header(
        header::ALLOW,
        HeaderValue::from_static("POST, PUT, PATCH, DELETE"),
    )
}

pub(super) fn of_grpc() -> Error {
    Error::new(BAD_REQUEST, "a call of gRPC is no statement")
}

/// The failure of a statement.
pub(super) fn failed(failure: Failure, parameters: &[ParameterConfig]) -> Error {
    let reason = reason(&failure);
    match failure {
        Failure::Constraint(kind, name) => {
            let what = if kind == Constraint::NotNull {
                "column"
            } else {
                "constraint"
            };
            let detail = match name {
                Some(name) => format!("the {what} `{name}` is against it"),
                None => format!("a {what} is against it"),
            };
            Error::new(reason, detail)
        }
        Failure::BadValue(place, detail) => match place.and_then(|place| parameters.get(place)) {
            Some(parameter) => bad(parameter, &format!("is refused: {detail}")),
            None => Error::new(reason, detail),
        },
        Failure::Raised => Error::new(reason, "the statement raised an error"),
        Failure::NoRow => Error::new(reason, "there is no such row"),
        Failure::NotOne => Error::new(reason, "there is more than one such row"),
        Failure::Full => Error::new(reason, "the database has no room for it: nothing was kept"),
        Failure::TooLarge(detail) | Failure::Overloaded(detail) => Error::new(reason, detail),
        Failure::Conflict(_) => again(Error::new(
            reason,
            "other transactions were in the way, again and again",
        )),
        Failure::Locked => again(Error::new(reason, "what it needs is locked")),
        Failure::Timeout(Effects::None) => {
            let detail = "the statement took too long, and was cancelled";
            Error::new(reason, detail).at(Progress::Sent)
        }
        Failure::Timeout(Effects::Unknown) => {
            let detail =
                "the statement took too long: whether it was carried out all the same is not known";
            Error::new(reason, detail).at(Progress::Sent)
        }
        Failure::Unavailable(detail) => again(Error::new(reason, detail)),
        Failure::Broken(detail) => Error::new(reason, detail).at(Progress::Sent),
        Failure::Unknown(detail) => {
            let detail = format!("{detail}: whether it was carried out is not known");
            Error::new(reason, detail).at(Progress::Sent)
        }
        Failure::Refused { code, told } => {
            let code = named(&code);
            let detail = format!("the database refuses the statement of this route ({code})");
            let error = Error::new(reason, detail);
            match told {
                Some(told) => error.because(bounded(told)),
                None => error,
            }
        }
        Failure::Ambiguous(name) => Error::new(
            reason,
            format!(
                "two columns of the result are called `{name}`: name one of them otherwise (`as`)"
            ),
        ),
    }
}

/// Codes have five letters in SQL, and say of themselves what they are elsewhere.
fn named(code: &str) -> String {
    if code.len() == 5 {
        format!("SQLSTATE {code}")
    } else {
        code.to_owned()
    }
}

/// As much of what the database says as is of use in a log.
fn bounded(mut told: String) -> String {
    if told.len() > LONGEST {
        told.truncate(told.floor_char_boundary(LONGEST));
        told.push('…');
    }
    told
}

fn again(error: Error) -> Error {
    error.with_header(RETRY_AFTER.clone(), HeaderValue::from_static("1"))
}

fn reason(failure: &Failure) -> Reason {
    match failure {
        Failure::Constraint(Constraint::Unique, _) => UNIQUE,
        Failure::Constraint(Constraint::ForeignKey, _) => FOREIGN_KEY,
        Failure::Constraint(Constraint::Exclusion, _) => EXCLUSION,
        Failure::Constraint(Constraint::NotNull, _) => NOT_NULL,
        Failure::Constraint(Constraint::Check, _) => CHECK,
        Failure::BadValue(..) => BAD_VALUE,
        Failure::Raised => RAISED,
        Failure::NoRow => NO_ROW,
        Failure::NotOne => MORE_THAN_ONE_ROW,
        Failure::Full => DISK_FULL,
        Failure::TooLarge(_) => RESULT_TOO_LARGE,
        Failure::Conflict("deadlock_detected") => DEADLOCK_DETECTED,
        Failure::Conflict("lock_not_available") => LOCK_NOT_AVAILABLE,
        Failure::Conflict(_) => SERIALIZATION_FAILURE,
        Failure::Locked => LOCK_NOT_AVAILABLE,
        Failure::Timeout(_) => STATEMENT_TIMEOUT,
        Failure::Overloaded(_) => OVERLOADED,
        Failure::Unavailable(_) => DATABASE_UNAVAILABLE,
        Failure::Broken(_) => DATABASE_LOST,
        Failure::Unknown(_) => OUTCOME_UNKNOWN,
        Failure::Refused { .. } | Failure::Ambiguous(_) => STATEMENT_REFUSED,
    }
}

/// How a failure is called in metrics.
pub(super) fn label(failure: &Failure) -> &'static str {
    reason(failure).name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{headers, request};

    #[test]
    fn lines_are_for_whoever_names_them() {
        for (accept, lines) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("application/x-ndjson", true),
            ("application/json;q=0.5, Application/X-NDJSON; q=1", true),
            ("application/x-ndjson;q=0", false),
        ] {
            let mut request = request("GET", "/");
            request.headers = headers(&[("accept", accept)]);
            assert_eq!(wants_lines(&request), lines, "{accept}");
        }
    }

    #[test]
    fn what_is_not_known_is_said_and_who_is_to_blame_is_told() {
        let error = failed(Failure::Timeout(Effects::Unknown), &[]);
        assert!(error.detail().contains("not known"));
        assert_eq!(error.progress(), Progress::Sent);
        let error = failed(Failure::Unavailable("down".to_owned()), &[]);
        assert_eq!(error.reason().fault, Some(Fault::Connect));
        assert_eq!(error.progress(), Progress::Unsent);
        assert_eq!(failed(Failure::NoRow, &[]).reason().fault, None);
    }
}
