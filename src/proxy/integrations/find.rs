//! Whether a request is one that a route takes, which it enters by its name.

use std::sync::Arc;

use http::uri::Authority;
use http::{HeaderValue, Method, header};

use crate::http::error::{BAD_PATH, Error, METHOD_NOT_ALLOWED, Reason};
use crate::http::message::{Captures, Request};
use crate::http::path;
use crate::proxy::serving::{Route, Serving};
use crate::route::{Found, Lookup};

/// Another route would take the request, or none.
const ROUTE_MISMATCH: Reason = Reason::new("route_mismatch", 409);

/// The route of that name, if callers of one of `listeners` would come to it with this request. The path of the request is
/// normalised, and what the route's names stand for in it is noted.
///
/// # Errors
/// What the request comes to instead.
pub fn route(
    serving: &Serving,
    name: &str,
    listeners: &[Arc<str>],
    request: &mut Request,
) -> Result<Arc<Route>, Error> {
    let encoded_separators = path::normalise_in_place(&mut request.target)?;
    let mut instead = None;
    for listener in listeners {
        let lookup = Lookup {
            listener,
            host: request.authority.as_ref().map(Authority::as_str),
            method: &request.method,
            path: request.target.path(),
            encoded_separators,
            query: request.target.query(),
            headers: &request.headers,
        };
        match found(serving.table.find(&lookup), name) {
            Ok((route, captures)) => {
                request.context.captures = captures;
                return Ok(route);
            }
            Err(error) => instead = Some(error),
        }
    }
    Err(instead.unwrap_or_else(|| mismatch("no listener has callers for this route".to_owned())))
}

fn found(found: Found<'_, Arc<Route>>, name: &str) -> Result<(Arc<Route>, Captures), Error> {
    match found {
        Found::Route { value, captures } if *value.name == *name => Ok((value.clone(), captures)),
        Found::Route { value, .. } => Err(mismatch(format!(
            "a request like this belongs to the route `{}`",
            value.name
        ))),
        Found::BadPath => Err(Error::new(
            BAD_PATH,
            "the path has an encoded slash, backslash or NUL, which this route does not allow",
        )),
        Found::MethodNotAllowed { allow } => {
            let names: Vec<&str> = allow.iter().map(Method::as_str).collect();
            let error = Error::new(METHOD_NOT_ALLOWED, "the route does not take this method");
            Err(match HeaderValue::from_str(&names.join(", ")) {
                Ok(allow) => error.with_header(header::ALLOW, allow),
                Err(_) => error,
            })
        }
        Found::NoRoute => Err(mismatch(
            "the route's `match` does not take a request like this: look at its path, host, headers and query".to_owned(),
        )),
    }
}

fn mismatch(detail: String) -> Error {
    Error::new(ROUTE_MISMATCH, detail)
}
