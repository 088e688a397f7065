//! A request on its way through the stack of its route, where nothing is sent and nothing that serves is touched.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode};
use metrics::NoopRecorder;
use tracing::Dispatch;

use crate::app::snapshot::{stack, way_of_sending};
use crate::config::{Config, RouteConfig};
use crate::fetch::{Call, Fetch, Fetched};
use crate::http::error::Error;
use crate::http::exchange::{Exchange, LastSeen};
use crate::http::handler::Handler;
use crate::http::message::{Request, Response};
use crate::policy::build::{Build, Kept};
use crate::target::{self, Reached, Rehearsal, Rehearsing, Targets as _};
use crate::value::Name;

/// The longest that a rehearsal may take: only a token or keys are ever waited for.
const LONGEST: Duration = Duration::from_secs(2);

/// How far a request gets.
pub enum End {
    /// To the target.
    Reached(Reached),
    /// A policy answers it.
    Answered(Box<Response>),
    Refused(Error),
    /// Something that it waits for did not come.
    Stuck,
}

/// Has `request` pass the policies of a route as its target would be given it, by what `kept` knows. Call it on a thread that
/// has no runtime of its own running.
///
/// # Errors
/// When there is no runtime to be had, or the route cannot be built.
pub fn rehearse(
    (name, route): (&Name, &RouteConfig),
    config: &Config,
    kept: &Kept,
    request: Box<Request>,
) -> Result<End, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("a runtime cannot be had: {error}"))?;
    // What happens here did not happen: it is neither counted nor logged.
    let _unseen = metrics::set_default_local_recorder(&NoopRecorder);
    let _unheard = tracing::dispatcher::set_default(&Dispatch::none());
    let rehearsal = Arc::new(Rehearsal::default());
    let end = runtime.block_on(async {
        let built = build(name, route, config, kept, &rehearsal);
        let stack = built.ok_or("the route has no target that exists")?;
        let last_seen = LastSeen::default();
        let exchange = Exchange::new(&last_seen);
        let answer = async {
            tokio::select! {
                biased;
                answer = stack.call(request, &exchange) => match answer {
                    Ok(response) => End::Answered(response),
                    Err(error) => End::Refused(error),
                },
                reached = rehearsal.reached() => End::Reached(reached),
            }
        };
        let end = tokio::time::timeout(LONGEST, answer).await;
        Ok(end.unwrap_or(End::Stuck))
    });
    // Nobody waits for a file that does not answer.
    runtime.shutdown_background();
    end
}

fn build(
    name: &Name,
    route: &RouteConfig,
    config: &Config,
    kept: &Kept,
    rehearsal: &Arc<Rehearsal>,
) -> Option<Box<dyn Handler>> {
    let (upstreams, brokers, databases) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let rehearsing = Rehearsing {
        build: target::Build {
            route: name,
            upstreams: &upstreams,
            brokers: &brokers,
            databases: &databases,
            resend: way_of_sending(route),
            allow: route.route.allow(),
            rest: route.route.rest(),
            opened: &route.opened,
        },
        rehearsal,
        kind_of_database: &|name| {
            let database = config.databases.get(&name.parse::<Name>().ok()?)?;
            Some(database.kind())
        },
    };
    let target = route.target.rehearse(&rehearsing)?;
    let mut apart = Kept::default();
    let fetch: Arc<dyn Fetch> = Arc::new(StandIn);
    let build = Build::new(name.shared(), kept, &mut apart);
    let mut build = build.with_fetch(&fetch).rehearsing();
    Some(stack(route, &mut build, target))
}

/// Stands in for the servers that policies ask: a token is granted, as any would do that is never shown; keys are not to be
/// had.
struct StandIn;

impl Fetch for StandIn {
    fn fetch(&self, call: Call) -> BoxFuture<'_, Result<Fetched, String>> {
        let answer = if call.method == Method::POST {
            Ok(Fetched {
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                body: Bytes::from_static(
                    br#"{"access_token": "none", "token_type": "Bearer", "expires_in": 3600}"#,
                ),
            })
        } else {
            Err("nothing is fetched for an explanation".to_owned())
        };
        Box::pin(std::future::ready(answer))
    }
}
