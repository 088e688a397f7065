//! What would become of a request: targets that are called, tell where it would go, and send and change nothing.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::block::Build;
use crate::database;
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::{Request, Response};

/// Where a request would end.
#[derive(Debug)]
pub enum End {
    Upstream {
        name: Arc<str>,
        /// `Host` would be the name of the endpoint that is picked.
        host_of_endpoint: bool,
    },
    /// With the answer that is made here.
    Answer(Box<Response>),
    /// In words: the broker, and where there.
    Broker {
        name: String,
        place: String,
    },
    Database(String),
    /// A file that would be written or deleted, below the directory of the route.
    File(String),
}

/// A request as it reached its target, and where it would end.
#[derive(Debug)]
pub struct Reached {
    pub request: Box<Request>,
    pub end: End,
}

/// What a target is told of by the request that is rehearsed.
#[derive(Debug, Default)]
pub struct Rehearsal {
    reached: Mutex<Option<Reached>>,
    noted: Notify,
}

impl Rehearsal {
    /// Waits until a request has reached the target.
    pub async fn reached(&self) -> Reached {
        loop {
            if let Some(reached) = self.take() {
                return reached;
            }
            self.noted.notified().await;
        }
    }

    fn take(&self) -> Option<Reached> {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.take()
    }

    pub(super) fn note(&self, request: Box<Request>, end: End) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        *reached = Some(Reached { request, end });
        drop(reached);
        self.noted.notify_one();
    }
}

/// What a target is built with that only tells where requests would end.
pub struct Rehearsing<'a> {
    pub build: Build<'a>,
    pub rehearsal: &'a Arc<Rehearsal>,
    pub kind_of_database: &'a dyn Fn(&str) -> Option<database::Kind>,
}

/// Tells where a request would end, and never answers: what happens on the way back depends on an answer that nobody has.
pub(super) struct Told<F> {
    pub rehearsal: Arc<Rehearsal>,
    pub end_of: F,
}

impl<F> Handler for Told<F>
where
    F: Fn(&mut Request) -> Result<End, Error> + Send + Sync,
{
    fn call<'a>(&'a self, mut request: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(async move {
            let end = (self.end_of)(&mut request)?;
            self.rehearsal.note(request, end);
            pending().await
        })
    }
}

/// The same of a target that makes its answers here and changes nothing by it.
pub(super) struct Answered {
    pub rehearsal: Arc<Rehearsal>,
    pub target: Box<dyn Handler>,
}

impl Handler for Answered {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(async move {
            let seen = request.without_body();
            let answer = self.target.call(request, exchange).await?;
            self.rehearsal.note(seen, End::Answer(answer));
            pending().await
        })
    }
}
