//! `sql`: the request becomes a statement of a database, and its rows the answer.
//!
//! What is run stands in the config as a whole; what a caller sends is bound to its parameters ([`parameters`]), or refused. What
//! the caller is told is in [`answer`].

use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::Instant;

use super::block::{Asked, Block, Build, Named, Opened, Options};
use super::rehearsal::{End, Rehearsing, Told};
use crate::database::{Client, Failure, Form, Kind, Limits, Output, Shape, Value, Work};
use crate::http::asking::Asking;
use crate::http::body::Body;
use crate::http::boxed::pinned;
use crate::http::error::Error;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::{Request, Response};
use crate::http::trail;
use crate::value::Wrong;
use crate::value::problem::Problems;

mod answer;
mod check;
mod config;
mod live;
mod metrics;
mod parameters;
mod source;
mod span;
mod stream;

pub use config::Config;
pub use metrics::{DURATION, STATEMENTS};

use config::{ParameterConfig, WHOLE};
use metrics::RouteMetrics;

/// The largest file with a statement, in bytes.
const LARGEST_FILE: u64 = 1 << 20;
/// Rows that wait for a caller who is slower than the database, in bytes.
const AHEAD: usize = 1 << 20;

impl Block for Config {
    fn check(&self, known: &[&str], problems: &mut Problems) {
        check::check(self, known, problems);
    }

    fn build(&self, build: &Build<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
        let (client, kind) = build.database(&self.database)?;
        let work = self.work(kind, build.opened)?;
        Some(Box::new(Sql {
            inner: Arc::new(Inner { client, work }),
            kind,
            parameters: self.parameters.clone(),
            needs_body: self.parameters.iter().any(|one| one.from.is_body()),
            limits: Limits {
                rows: self.max_rows,
                bytes: usize::try_from(self.max_bytes.0).unwrap_or(usize::MAX),
            },
            config: self.clone(),
            allow: build.allow.clone(),
            metrics: RouteMetrics::new(build.route.as_str()),
        }))
    }

    fn rehearse(&self, rehearsing: &Rehearsing<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
        let kind = (rehearsing.kind_of_database)(&self.database)?;
        let writes = self.work(kind, rehearsing.build.opened)?.writes();
        let (database, allow) = (self.database.clone(), rehearsing.build.allow.clone());
        Some(Box::new(Told {
            rehearsal: rehearsing.rehearsal.clone(),
            end_of: move |request: &mut Request| {
                if request.method == Method::OPTIONS {
                    return Ok(End::Answer(options(&allow)));
                }
                fit(request, writes)?;
                Ok(End::Database(database.clone()))
            },
        }))
    }

    fn databases(&self) -> Vec<Named<'_>> {
        vec![(&self.database, vec!["database".to_owned()])]
    }

    fn check_database(&self, kind: Kind, opened: &Opened, problems: &mut Problems) {
        check::check_statements(self, kind, opened, problems);
    }

    fn check_live<'a>(
        &'a self,
        asked: Asked<'a>,
        opened: &'a Opened,
    ) -> BoxFuture<'a, Result<Problems, String>> {
        Box::pin(live::check(self, asked, opened))
    }

    fn open(&self, problems: &mut Problems) -> Opened {
        let mut opened = Opened::default();
        if let Some(file) = &self.file {
            let text = file.read(LARGEST_FILE).and_then(|bytes| {
                let text = String::from_utf8(bytes);
                text.map_err(|_| Wrong::new(format!("`{file}` is not text in UTF-8")))
            });
            match text {
                Ok(text) => opened.text = Some(text.into()),
                Err(wrong) => problems.wrong(&["file"], wrong),
            }
        }
        opened
    }
}

/// The target of a route with `sql`.
struct Sql {
    inner: Arc<Inner>,
    kind: Kind,
    parameters: Vec<ParameterConfig>,
    needs_body: bool,
    limits: Limits,
    config: Config,
    allow: HeaderValue,
    metrics: RouteMetrics,
}

/// What runs statements, also behind an answer that has begun.
struct Inner {
    client: Arc<dyn Client>,
    work: Work,
}

impl Handler for Sql {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        pinned(|| self.answer(request, exchange))
    }
}

/// What the route takes.
fn options(allow: &HeaderValue) -> Box<Response> {
    let mut response = Response::new(StatusCode::NO_CONTENT, Body::empty());
    response.headers.insert(&header::ALLOW, allow);
    Box::new(response)
}

/// Refuses a request for which no statement is run, whatever its values are. `writes`: statements change something.
fn fit(request: &Request, writes: bool) -> Result<(), Error> {
    if request.method.is_safe() && (writes || request.method == Method::TRACE) {
        return Err(answer::not_allowed(&request.method));
    }
    if request.dialect().is_grpc() {
        return Err(answer::of_grpc());
    }
    Ok(())
}

impl Sql {
    async fn answer(
        &self,
        mut request: Box<Request>,
        exchange: &Exchange<'_>,
    ) -> Result<Box<Response>, Error> {
        if request.method == Method::OPTIONS {
            return Ok(options(&self.allow));
        }
        fit(&request, self.inner.work.writes())?;
        let document = if self.needs_body {
            let most = usize::try_from(self.config.max_body.0).unwrap_or(usize::MAX);
            Some(parameters::document(&mut request, most).await?)
        } else {
            None
        };
        let values = parameters::values(&self.parameters, &request, document.as_ref())?;
        let until = exchange.limits().deadline;
        let started = Instant::now();
        let there = Arc::new(OnceLock::new());
        let asked = || trail::Asked::Database(self.config.database.as_str().into());
        let asking = Asking::new(exchange, asked, Some(&there));
        let mut span = span::begin(&request, self.kind, &self.config.database);
        let form = self.form(&request);
        let is_lines = form == Form::Lines;
        let result = if form == Form::Lines || (form == Form::Array && self.limits.bytes > WHOLE) {
            self.stream(form, values, until, &there).await
        } else {
            self.whole(form, &values, until, &there).await
        };
        self.metrics.end(started, &result);
        span::end(&mut span, &result);
        let result = match result {
            Ok(body) => Ok(Box::new(answer::of(self.config.result, body, is_lines))),
            Err(failure) => Err(answer::failed(failure, &self.parameters)),
        };
        asking.end(result.as_deref());
        result
    }

    async fn whole(
        &self,
        form: Form,
        values: &[Value],
        until: Option<Instant>,
        there: &Arc<OnceLock<Instant>>,
    ) -> Result<Body, Failure> {
        let mut output = Output::whole(form, self.limits, self.config.big_numbers).telling(there);
        let Inner { client, work } = &*self.inner;
        let done = client.run(work, values, &mut output, until).await?;
        Ok(match self.config.result {
            Shape::Affected => Body::full(format!("{{\"affected\":{}}}", done.affected)),
            Shape::None => Body::empty(),
            Shape::One | Shape::Many => Body::full(output.finish()),
        })
    }

    /// Begins to answer while rows come.
    async fn stream(
        &self,
        form: Form,
        values: Vec<Value>,
        until: Option<Instant>,
        there: &Arc<OnceLock<Instant>>,
    ) -> Result<Body, Failure> {
        let hold = if form == Form::Lines { 0 } else { WHOLE };
        let (output, pieces) =
            Output::in_pieces(form, self.limits, self.config.big_numbers, hold, AHEAD);
        let mut output = output.telling(there);
        let inner = self.inner.clone();
        // It ends when the answer's body is dropped, and with the statement's time.
        let task = tokio::spawn(async move {
            let result = inner
                .client
                .run(&inner.work, &values, &mut output, until)
                .await;
            output.end(result.map(drop)).await;
        });
        stream::begin(pieces, task).await
    }

    fn form(&self, request: &Request) -> Form {
        match self.config.result {
            Shape::One => Form::One,
            Shape::Many if answer::wants_lines(request) => Form::Lines,
            Shape::Many => Form::Array,
            Shape::Affected | Shape::None => Form::None,
        }
    }
}
