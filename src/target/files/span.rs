//! The span of what is done with a file: it lasts to the end of the answer, as that of an attempt does.

use crate::http::body::{Body, End, Guard};
use crate::http::error::Error;
use crate::http::message::{Request, Response};
use crate::trace::{Kind, Span, key};

/// Begins one, if the request is recorded. `root` is the directory as the config has it; the path is told of the request.
pub(super) fn begin(request: &Request, root: &str) -> Option<Span> {
    let trace = &request.context.trace;
    if !trace.is_recorded() {
        return None;
    }
    let name = ["files ", request.method.as_str()].concat();
    let mut span = trace.span(Kind::Internal, name)?;
    span.text(key!("file.directory"), root);
    Some(span)
}

/// This is what came of it, as far as it is known. Of a file that is not there only the caller is told.
pub(super) fn came_to(mut span: Span, result: &mut Result<Box<Response>, Error>) {
    match result {
        Ok(response) => {
            let body = std::mem::replace(&mut response.body, Body::empty());
            response.body = body.with_guard(Riding(Some(span)));
        }
        Err(error) if error.status().is_server_error() => span.fails(error.reason().name),
        Err(_) => {}
    }
}

/// Ends with the body, before the request's own does.
struct Riding(Option<Span>);

impl Guard for Riding {
    fn end(&mut self, end: End<'_>, _: u64) {
        if let (Some(mut span), End::Failed(error)) = (self.0.take(), end) {
            span.fails(error.reason().name);
        }
    }
}
