//! The routes of a config that nothing serves, as far as choosing among them needs them.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use crate::config::Config;
use crate::http::error::{Error, INTERNAL};
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::Request;
use crate::policy::build::States;
use crate::proxy::serving::{Route, Serving};
use crate::route::Table;
use crate::telemetry::request_metrics::RouteMetrics;

/// The routes of `config`, which answer nothing.
///
/// # Errors
/// When they cannot stand beside each other, which the checks of a config tell before.
pub fn serving(config: &Config) -> Result<Serving, String> {
    let mut routes = Vec::with_capacity(config.routes.len());
    let mut named = BTreeMap::new();
    for (name, route) in &config.routes {
        let ready = Arc::new(Route {
            name: name.shared(),
            path: None,
            stack: Box::new(Unserved),
            answers_preflights: route.policies.config.summary().answers_preflights,
            states: States::default(),
            change_failure: None,
            metrics: Arc::new(RouteMetrics::new(name.as_str())),
        });
        named.insert(ready.name.clone(), ready.clone());
        routes.push((name.clone(), &route.route, ready));
    }
    let table = Table::build(routes);
    Ok(Serving {
        table: table.map_err(|_| "the routes of this config tie")?,
        named,
        access_log: None,
        tcp: Default::default(),
        requests: Arc::default(),
        tracer: None,
    })
}

struct Unserved;

impl Handler for Unserved {
    fn call<'a>(&'a self, _: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        let error = Error::new(INTERNAL, "nothing serves this route");
        Box::pin(ready(Err(error)))
    }
}
