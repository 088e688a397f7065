//! Why a request failed, and what the caller is told.
//!
//! A refusal or failure is one [`Error`]: a bounded [`Reason`] for labels and callers, a sentence that is
//! safe to show to a remote caller, and a cause that only the log sees. Each policy names its own reasons;
//! those of the data plane stand here. Nothing in this file knows who refuses.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use crate::http::fault::Fault;
use crate::http::message::{Outline, ServedBy};

/// A bounded label for why, with the status that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    pub name: &'static str,
    pub status: u16,
    /// What the upstream did; None: it is the caller's doing or ours, and says nothing about the upstream.
    pub fault: Option<Fault>,
}

impl Reason {
    pub const fn new(name: &'static str, status: u16) -> Self {
        Reason {
            name,
            status,
            fault: None,
        }
    }

    /// The upstream is to blame.
    #[must_use]
    pub const fn by(self, fault: Fault) -> Self {
        Reason {
            fault: Some(fault),
            ..self
        }
    }
}

/// Malformed or ambiguous request.
pub const BAD_REQUEST: Reason = Reason::new("bad_request", 400);
/// A path that a proxy and an application could read differently.
pub const BAD_PATH: Reason = Reason::new("bad_path", 400);
/// The request has come back to this proxy, or would.
pub const LOOP_DETECTED: Reason = Reason::new("loop_detected", 508);
/// The caller took too long to send its request.
pub const REQUEST_TIMEOUT: Reason = Reason::new("request_timeout", 408);
/// The request head is larger than the listener allows.
pub const HEADERS_TOO_LARGE: Reason = Reason::new("headers_too_large", 431);
/// No route matches.
pub const NO_ROUTE: Reason = Reason::new("no_route", 404);
/// A route would match but for the method.
pub const METHOD_NOT_ALLOWED: Reason = Reason::new("method_not_allowed", 405);
/// No connection to the upstream could be made.
pub const CONNECT_FAILED: Reason = Reason::new("connect_failed", 502).by(Fault::Connect);
/// The upstream did not prove who it is, or no encrypted connection could be agreed on.
pub const TLS_FAILED: Reason = Reason::new("tls_failed", 502).by(Fault::Connect);
/// The upstream closed the connection before its answer was complete.
pub const UPSTREAM_RESET: Reason = Reason::new("upstream_reset", 502).by(Fault::Reset);
/// The upstream's answer is not HTTP, or ambiguous.
pub const UPSTREAM_PROTOCOL_ERROR: Reason =
    Reason::new("upstream_protocol_error", 502).by(Fault::Reset);
/// The caller wants to change the protocol, and the one spoken to the upstream has no way to.
pub const UPGRADE_UNSUPPORTED: Reason = Reason::new("upgrade_unsupported", 502);
/// No endpoint can take the request.
pub const NO_HEALTHY_ENDPOINT: Reason =
    Reason::new("no_healthy_endpoint", 503).by(Fault::NoEndpoint);
/// A limit on requests at once is reached.
pub const OVERLOADED: Reason = Reason::new("overloaded", 503);
/// The proxy is shutting down.
pub const DRAINING: Reason = Reason::new("draining", 503);
/// TCP and TLS together took longer than `connect_timeout`.
pub const CONNECT_TIMEOUT: Reason = Reason::new("connect_timeout", 504).by(Fault::Connect);
/// The upstream's response head took longer than the route's `timeout`.
pub const UPSTREAM_TIMEOUT: Reason = Reason::new("upstream_timeout", 504).by(Fault::Timeout);
/// The whole exchange took longer than the route's `deadline`.
pub const DEADLINE_EXCEEDED: Reason = Reason::new("deadline_exceeded", 504).by(Fault::Timeout);
/// The caller went away. Never sent, as nobody is there to read it; it labels metrics and the log (nginx's 499).
pub const CALLER_GONE: Reason = Reason::new("caller_gone", 499);
/// Something that should not happen did: a bug in the proxy.
pub const INTERNAL: Reason = Reason::new("internal", 500);

/// How far a failed request had got: what a retry needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Not one byte was handed to an upstream connection, or the upstream says that it did not look at what was:
    /// safe to send again, whatever the method.
    Unsent,
    /// Sent, and nothing of an answer came back.
    Sent,
    /// Part of the answer has arrived.
    Answering,
}

/// What is wrong at one place of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// A JSON Pointer (RFC 6901); empty for the document as a whole.
    pub pointer: String,
    /// A sentence that is safe to show to a remote caller.
    pub detail: String,
}

/// A refusal or a failure. Cheap to move: the facts are behind one pointer.
pub struct Error(Box<Facts>);

struct Facts {
    reason: Reason,
    detail: Cow<'static, str>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    violations: Vec<Violation>,
    progress: Progress,
    stream_code: Option<u32>,
    outline: Option<Box<Outline>>,
    reached: Option<ServedBy>,
}

impl Error {
    /// `detail` goes to the caller: no addresses, no certificate names, no secrets.
    pub fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Error(Box::new(Facts {
            reason,
            detail: detail.into(),
            cause: None,
            headers: Vec::new(),
            violations: Vec::new(),
            progress: Progress::Unsent,
            stream_code: None,
            outline: None,
            reached: None,
        }))
    }

    /// What the log shows beside the detail.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The same failure, for another request that it meets as well.
    #[must_use]
    pub fn shared(&self) -> Self {
        let mut error = Error::new(self.0.reason, self.0.detail.clone()).at(self.0.progress);
        error.0.cause = self.0.cause.as_ref().map(|cause| cause.to_string().into());
        error
    }

    /// A header of the answer, such as `Retry-After`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// What is wrong with a document, place by place: `violations` of the problem that the caller gets.
    #[must_use]
    pub fn with_violations(mut self, violations: Vec<Violation>) -> Self {
        self.0.violations = violations;
        self
    }

    #[must_use]
    pub fn at(mut self, progress: Progress) -> Self {
        self.0.progress = progress;
        self
    }

    /// With this code the upstream ended its stream of HTTP/2, and it tells the caller something too.
    #[must_use]
    pub fn with_stream_code(mut self, code: u32) -> Self {
        self.0.stream_code = Some(code);
        self
    }

    /// See [`Error::with_stream_code`].
    pub fn stream_code(&self) -> Option<u32> {
        self.0.stream_code
    }

    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.reason.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    pub fn progress(&self) -> Progress {
        self.0.progress
    }

    /// Where the request was sent last. What is known already stays.
    #[must_use]
    pub fn reached(mut self, by: ServedBy) -> Self {
        self.0.reached.get_or_insert(by);
        self
    }

    /// The same for what is wrong with an answer, which came from there.
    #[must_use]
    pub fn about(self, served_by: Option<&ServedBy>) -> Self {
        match served_by {
            Some(by) => self.reached(by.clone()),
            None => self,
        }
    }

    /// Where the request was sent last, if it got so far.
    pub fn served_by(&self) -> Option<&ServedBy> {
        self.0.reached.as_ref()
    }

    /// Tells what could be read of the head that was refused, for whoever answers.
    #[must_use]
    pub fn of_head(mut self, outline: Outline) -> Self {
        self.0.outline = Some(Box::new(outline));
        self
    }

    /// What could be read of the head that was refused.
    pub fn take_outline(&mut self) -> Option<Box<Outline>> {
        self.0.outline.take()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.reason.name, self.0.detail)?;
        match &self.0.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {}
