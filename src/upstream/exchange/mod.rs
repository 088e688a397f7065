//! One request and its answer: admission, an endpoint, a connection, and the one resend that is always safe.

use http::{HeaderName, HeaderValue, header};
use http_body::Body as _;

use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::message::{Request, Response, Tried};
use crate::upstream::{Endpoint, Upstream};

mod ask;
mod resend;

pub use resend::Resend;

/// What a target says of the requests that it sends.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    pub resend: Resend,
    /// `Host` is to be the name of the endpoint that is picked.
    pub host_from_endpoint: bool,
}

impl Upstream {
    /// Sends a request to one of the endpoints.
    ///
    /// What certainly was not processed may be sent once more: a request of which no byte was written, and an
    /// idempotent one (RFC 9110, section 9.2.2) that met a kept-alive connection which the upstream was
    /// just closing.
    ///
    /// # Errors
    /// `overloaded`, `no_healthy_endpoint`, `connect_failed`, `connect_timeout`, `tls_failed`, `upstream_reset`,
    /// `upstream_protocol_error`, and those of the request's own body.
    pub async fn send(
        &self,
        mut request: Box<Request>,
        sending: Sending,
        exchange: &Exchange<'_>,
    ) -> Result<Box<Response>, Error> {
        let resend = sending.resend;
        let admission = self.admit();
        let admission = admission.map_err(|error| self.unreached(error, exchange.tried()))?;
        let had_body = !request.body.is_empty();
        let tried = exchange.tried();
        let picked = match self.pick(&request, tried) {
            Err(_) if !self.is_ready() => {
                // Until its names are resolved for the first time; no longer than connecting may take.
                // Boxed, as all that is seldom: it would make the future of every request larger.
                let ready = tokio::time::timeout(self.connect_timeout(), self.ready());
                let _ = Box::pin(ready).await;
                self.pick(&request, tried)
            }
            picked => picked,
        };
        let mut attempt = picked.map_err(|error| self.unreached(error, tried))?;
        sending.name(attempt.endpoint(), &mut request);
        let mut asked = self
            .ask(&attempt, &mut request, exchange, tried, false)
            .await;
        let mut sent = tried.map_or(1, Tried::count);
        if let Err(error) = &asked.answer
            && self.may_resend(resend, error, &request, asked.reused, had_body)
        {
            tracing::debug!(upstream = %self.name(), %error, "sending a request once more");
            let failed = attempt.endpoint().hash;
            drop(attempt);
            let again = self.send_again(failed, &mut request, sending, exchange, had_body);
            (attempt, asked, sent) = Box::pin(again).await?;
        }
        let took = attempt.stage().took();
        let here = self.served_by(Some(attempt.endpoint()), sent, took);
        let mut response = match asked.answer {
            Ok(response) => response,
            Err(error) => {
                exchange.give_back(request);
                return Err(error.reached(here));
            }
        };
        response.served_by = Some(here);
        if exchange.back().is_some() && may_be_failure(&response) {
            exchange.give_back(request);
        }
        let body = std::mem::replace(&mut response.body, Body::empty());
        response.body = body.with_guard((attempt, admission));
        Ok(response)
    }

    fn unreached(&self, error: Error, tried: Option<&Tried>) -> Error {
        error.reached(self.served_by(None, tried.map_or(0, Tried::count), 0))
    }
}

/// Whoever may send a request again may take such an answer as a failure: those of errors, and all that
/// have nothing but a head, as it may hold the status of gRPC.
fn may_be_failure(response: &Response) -> bool {
    let status = response.status;
    status.is_client_error() || status.is_server_error() || response.body.is_end_stream()
}

impl Sending {
    /// Writes the endpoint's own name as `Host`, where that is wanted.
    fn name(self, endpoint: &Endpoint, request: &mut Request) {
        if self.host_from_endpoint {
            name_endpoint(request, &endpoint.name);
        }
    }
}

fn name_endpoint(request: &mut Request, name: &str) {
    if let (Ok(authority), Ok(value)) = (name.parse(), HeaderValue::from_str(name)) {
        request.authority = Some(authority);
        let host: HeaderName = header::HOST;
        request.headers.insert(&host, &value);
    }
}
