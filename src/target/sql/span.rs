//! The span of a statement, by OpenTelemetry's semantic conventions for clients of databases. It has neither the statement's text
//! nor a value.

use crate::database::{Failure, Kind};
use crate::http::message::Request;
use crate::target::sql::answer;
use crate::trace::{self, Span, key};

/// Begins one, if the request is recorded. `database` is the name that the config has for it.
pub(super) fn begin(request: &Request, kind: Kind, database: &str) -> Option<Span> {
    if !request.context.trace.is_recorded() {
        return None;
    }
    let route = &request.context.route;
    let name = format!("{database} {route}");
    let mut span = request.context.trace.span(trace::Kind::Client, name)?;
    span.text(key!("db.system.name"), kind.system());
    // There is one statement, or one list of them, for each route.
    span.text(key!("db.query.summary"), route);
    span.text(key!("outrigger.database"), database);
    Some(span)
}

/// This is what became of it.
pub(super) fn end<T>(span: &mut Option<Span>, result: &Result<T, Failure>) {
    if let (Some(span), Err(failure)) = (span, result) {
        span.fails(answer::label(failure));
    }
}
