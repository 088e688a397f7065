//! What serves requests now: the routes, ready to be called.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::answered::ChangeFailure;
use crate::policy::build::States;
use crate::policy::stack::Handler;
use crate::route::Table;
use crate::tcp;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::request_metrics::RouteMetrics;
use crate::telemetry::requests::Requests;
use crate::trace::Tracer;

/// What a request finds when it arrives. It takes its route from here, and keeps it to the end of its body.
pub struct Serving {
    pub table: Table<Arc<Route>>,
    /// The same routes by their names.
    pub named: BTreeMap<Arc<str>, Arc<Route>>,
    /// Of connections that are not HTTP.
    pub tcp: tcp::Table<Arc<tcp::TcpRoute>>,
    pub access_log: Option<Arc<AccessLog>>,
    /// Keeps requests that fail or take long.
    pub requests: Arc<Requests>,
    /// Traces go on as they came without it.
    pub tracer: Option<Arc<Tracer>>,
}

/// A route, ready to be called.
pub struct Route {
    pub name: Arc<str>,
    /// The path of its match, as it is written; None where it takes every path.
    pub path: Option<Arc<str>>,
    pub stack: Box<dyn Handler>,
    /// Whether it answers the preflights of the requests that it takes.
    pub answers_preflights: bool,
    /// What the admin API tells of its policies.
    pub states: States,
    /// What its policies change about the answer to a failure.
    pub change_failure: Option<ChangeFailure>,
    pub metrics: Arc<RouteMetrics>,
}
