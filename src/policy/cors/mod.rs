//! `cors`: pages of which other origins a browser lets call (the CORS protocol of the WHATWG's Fetch standard,
//! section 3.2).
//!
//! It keeps nobody out but browsers that ask: a request of an origin that is not allowed is forwarded as any
//! other, and it is the browser that withholds the answer from the page.

use http::{HeaderValue, Method, StatusCode, header};

use super::authorize::FORBIDDEN;
use super::build::Build;
use super::stack::{Next, Policy};
use super::table::{Blocks, FromBlocks};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::grpc::{self, Dialect};
use crate::http::headers::{Headers, lists};
use crate::http::message::{Request, Response};
use crate::http::semantics::preflight;

mod config;
mod origin;

use config::ANY;
pub use config::Config;
pub use origin::OriginPattern;

/// Answers preflights, and tells browsers who may read the other answers.
pub(super) struct Cors {
    origins: Vec<OriginPattern>,
    /// The same answer for every origin.
    open: bool,
    /// None: what is asked for.
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    /// The same and the status of a call, for pages that speak gRPC.
    expose_status: HeaderValue,
    credentials: bool,
    max_age: HeaderValue,
}

impl FromBlocks for Cors {
    fn from_blocks(blocks: &Blocks<'_>, _: &mut Build<'_>) -> Option<Self> {
        Some(Cors::new(blocks.on()?))
    }
}

impl Cors {
    fn new(config: &Config) -> Self {
        let Config {
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            allow_credentials,
            max_age,
        } = config.clone();
        let methods = allow_methods.map(|words| words.into_iter().map(|w| w.0).collect());
        let headers = allow_headers.map(|words| words.into_iter().map(|w| w.0).collect());
        let mut expose: Vec<String> = expose_headers.into_iter().map(|w| w.0).collect();
        let configured = HeaderValue::from_str(&expose.join(", "));
        expose.retain(|name| !grpc::OF_STATUS.contains(&&*name.to_ascii_lowercase()));
        expose.extend(grpc::OF_STATUS.map(str::to_owned));
        Cors {
            open: allow_origins.contains(&OriginPattern::Any) && !allow_credentials,
            origins: allow_origins,
            methods: methods.and_then(list_unless_any),
            headers: headers.and_then(list_unless_any),
            expose: configured.ok().filter(|list| !list.is_empty()),
            expose_status: HeaderValue::from_str(&expose.join(", "))
                .unwrap_or(HeaderValue::from_static(ANY)),
            credentials: allow_credentials,
            max_age: HeaderValue::from(max_age.0.as_secs()),
        }
    }

    /// What `Access-Control-Allow-Origin` says to the sender of these headers; None when it says nothing.
    fn allowed(&self, headers: &Headers) -> Option<HeaderValue> {
        // Also without `Origin`: a cache may give this answer to a page.
        if self.open {
            return Some(HeaderValue::from_static(ANY));
        }
        let mut origins = headers.get_all(&header::ORIGIN);
        let origin = origins.next()?;
        // A browser sends one. Of two, nobody knows which the page is of.
        if origins.next().is_some() {
            return None;
        }
        let text = std::str::from_utf8(origin).ok()?;
        let allowed = self.origins.iter().any(|pattern| pattern.takes(text));
        HeaderValue::from_bytes(origin).ok().filter(|_| allowed)
    }

    fn preflight(&self, request: &Request, method: &Method) -> Result<Box<Response>, Error> {
        let Some(origin) = self.allowed(&request.headers) else {
            return Err(self.vary_error(Error::new(
                FORBIDDEN,
                "pages of this origin may not call: `allow_origins` of the route's `cors` does not name it",
            )));
        };
        let mut response = Response::new(StatusCode::NO_CONTENT, Body::empty());
        let headers = &mut response.headers;
        self.allow(headers, &origin);
        let methods = match &self.methods {
            Some(methods) => Some(methods.clone()),
            None => HeaderValue::from_str(method.as_str()).ok(),
        };
        let asked: Vec<&[u8]> = request
            .headers
            .get_all(&header::ACCESS_CONTROL_REQUEST_HEADERS)
            .collect();
        let names = match &self.headers {
            Some(names) => Some(names.clone()),
            None => HeaderValue::from_bytes(&asked.join(&b", "[..]))
                .ok()
                .filter(|names| !names.is_empty()),
        };
        let told = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, names),
            (header::ACCESS_CONTROL_MAX_AGE, Some(self.max_age.clone())),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                headers.insert(&name, &value);
            }
        }
        headers.insert(
            &header::VARY,
            &HeaderValue::from_static(
                "origin, access-control-request-method, access-control-request-headers",
            ),
        );
        Ok(Box::new(response))
    }

    /// Puts our word in the place of the upstream's.
    fn mark(&self, headers: &mut Headers, origin: Option<&HeaderValue>, dialect: Dialect) {
        for name in [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            header::ACCESS_CONTROL_ALLOW_METHODS,
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            header::ACCESS_CONTROL_MAX_AGE,
        ] {
            headers.remove(&name);
        }
        if let Some(origin) = origin {
            self.allow(headers, origin);
            if let Some(expose) = self.exposed(dialect) {
                headers.insert(&header::ACCESS_CONTROL_EXPOSE_HEADERS, expose);
            }
        }
        let varies = headers
            .get_all(&header::VARY)
            .any(|line| lists(line, "origin") || lists(line, ANY));
        if !self.open && !varies {
            headers.append(&header::VARY, &HeaderValue::from_static("origin"));
        }
    }

    /// The same for an answer that the proxy makes out of a failure, so that a page can read why.
    fn mark_error(&self, error: Error, origin: Option<HeaderValue>, dialect: Dialect) -> Error {
        let mut error = self.vary_error(error);
        if let Some(origin) = origin {
            error = error.with_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if self.credentials {
                let yes = HeaderValue::from_static("true");
                error = error.with_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
            }
            if let Some(expose) = self.exposed(dialect) {
                error = error.with_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
            }
        }
        error
    }

    /// What pages may read beside what they always may.
    fn exposed(&self, dialect: Dialect) -> Option<&HeaderValue> {
        if dialect.is_web() {
            Some(&self.expose_status)
        } else {
            self.expose.as_ref()
        }
    }

    fn vary_error(&self, error: Error) -> Error {
        if self.open {
            error
        } else {
            error.with_header(header::VARY, HeaderValue::from_static("origin"))
        }
    }

    fn allow(&self, headers: &mut Headers, origin: &HeaderValue) {
        headers.insert(&header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            headers.insert(
                &header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
                &HeaderValue::from_static("true"),
            );
        }
    }
}

impl Policy for Cors {
    async fn apply(&self, request: Box<Request>, next: Next<'_>) -> Result<Box<Response>, Error> {
        if let Some(method) = preflight::announced_method(&request.method, &request.headers) {
            return self.preflight(&request, &method);
        }
        let origin = self.allowed(&request.headers);
        let dialect = request.dialect();
        match next.call(request).await {
            Ok(mut response) => {
                self.mark(&mut response.headers, origin.as_ref(), dialect);
                Ok(response)
            }
            Err(error) => Err(self.mark_error(error, origin, dialect)),
        }
    }
}

/// None when `*` is among them.
fn list_unless_any(words: Vec<String>) -> Option<HeaderValue> {
    if words.iter().any(|word| word == ANY) {
        None
    } else {
        HeaderValue::from_str(&words.join(", ")).ok()
    }
}

#[cfg(test)]
mod tests;
