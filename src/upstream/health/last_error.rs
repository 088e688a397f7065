//! What went wrong with an endpoint last, for people.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::http::error::Error;
use crate::http::grpc::Status;
use crate::http::message::Response;

/// The last failure for which the endpoint is to blame.
#[derive(Default)]
pub struct LastError(Mutex<Option<(Instant, String)>>);

impl LastError {
    /// Notes an answer that is a failure, or why there is none.
    pub fn note(&self, now: Instant, outcome: Result<&Response, &Error>) {
        self.put(
            now,
            match outcome {
                Ok(response) => match grpc_status(response) {
                    Some(status) => with_status(status),
                    None => format!("answered with {}", response.status.as_u16()),
                },
                Err(error) => error.to_string(),
            },
        );
    }

    /// Notes an answer that did not come in time.
    pub fn note_late(&self, now: Instant) {
        self.put(now, "took too long to answer".to_owned());
    }

    /// Notes a gRPC status behind the messages of an answer.
    pub fn note_status(&self, now: Instant, status: Status) {
        self.put(now, with_status(status));
    }

    /// When it was, and what.
    pub fn last(&self) -> Option<(Instant, String)> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    fn put(&self, now: Instant, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, text));
    }
}

/// The status of a gRPC answer without messages, of which HTTP says that it is a success.
fn grpc_status(response: &Response) -> Option<Status> {
    let success = response.status.is_success();
    Status::in_head(&response.headers).filter(|_| success)
}

fn with_status(status: Status) -> String {
    format!("answered with gRPC status {}", status.code())
}
