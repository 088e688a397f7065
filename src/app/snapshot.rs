//! A config made good: names resolved, stacks built, state carried over.
//!
//! A request takes its route from the snapshot that serves when it begins, and keeps it to the end of its body.
//! Making the next snapshot touches no live traffic; it either succeeds whole or leaves nothing behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::app::bridge::{self, Before, Bridge, DatabasesBefore};
use crate::app::original;
use crate::app::tcp_routes;
use crate::broker::Client;
use crate::config::{Config, Content, Loaded, RouteConfig};
use crate::fetch::Fetch;
use crate::http::handler::Handler;
use crate::net::resolve::Resolve;
use crate::policy::build::{Build, Kept};
use crate::proxy::serving::{Route, Serving};
use crate::route::Table;
use crate::target::{self, Database, SettleUpstream, Targets as _};
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::request_metrics::RouteMetrics;
use crate::telemetry::requests::Requests;
use crate::telemetry::traces::Pipeline;
use crate::upstream::{Resend, Upstream};
use crate::value::Name;
use crate::value::problem::Problems;

/// Everything that serves requests now.
pub struct Snapshot {
    /// 1 for the first config of this process; one more for each that replaced another.
    pub generation: u64,
    /// What it was made of.
    pub content: Content,
    pub loaded_at: SystemTime,
    /// When the next of its certificates becomes valid, or ends.
    pub turns_at: Option<SystemTime>,
    pub config: Config,
    pub serving: Arc<Serving>,
    /// What spans go through, if any are recorded.
    pub spans: Option<Arc<Pipeline>>,
    pub upstreams: BTreeMap<Name, Arc<Upstream>>,
    pub brokers: BTreeMap<Name, Arc<dyn Client>>,
    pub databases: BTreeMap<Name, Database>,
    /// What the policies know, by route.
    pub kept: Kept,
}

/// What a snapshot is made with, beside its config.
pub struct Tools {
    /// Where brokers are spoken to.
    pub bridge: Arc<Bridge>,
    pub resolver: Arc<dyn Resolve>,
    /// Asks other servers for tokens and keys.
    pub fetch: Arc<dyn Fetch>,
    /// Keeps requests that fail or take long.
    pub requests: Arc<Requests>,
    /// Opens the access log's way out.
    pub access_writer: Box<dyn Fn() -> Option<tracing_appender::non_blocking::NonBlocking> + Send>,
}

impl Snapshot {
    /// The snapshot of a config, and what that was made of, with the facts that `old` knows. Call it within the control
    /// runtime: names are resolved by its tasks.
    ///
    /// # Errors
    /// What only shows when routes are laid beside each other.
    pub fn of(
        source: (Config, Content),
        old: Option<&Snapshot>,
        tools: &Tools,
    ) -> Result<Self, Problems> {
        let generation = old.map_or(1, |old| old.generation + 1);
        Self::make(source, generation, old, tools)
    }

    /// The same once more, now that a certificate has become valid, or ended.
    ///
    /// # Errors
    /// None that this one did not have.
    pub fn again(&self, tools: &Tools) -> Result<Self, Problems> {
        let source = (self.config.clone(), self.content.clone());
        let made = Self::make(source, self.generation, Some(self), tools)?;
        Ok(Snapshot {
            loaded_at: self.loaded_at,
            ..made
        })
    }

    /// The snapshot of a config, and what that was made of.
    fn make(
        (config, content): (Config, Content),
        generation: u64,
        old: Option<&Snapshot>,
        tools: &Tools,
    ) -> Result<Self, Problems> {
        let old_upstream = |name| old.and_then(|old| old.upstreams.get(name));
        let mut upstreams: BTreeMap<Name, Arc<Upstream>> = config
            .upstreams
            .iter()
            .map(|(name, config)| {
                let upstream = Upstream::next(name, config, old_upstream(name), &tools.resolver);
                (name.clone(), upstream)
            })
            .collect();
        let before = old.map(|old| &old.upstreams);
        upstreams.extend(original::upstream(&config, before, &tools.resolver));

        let mut problems = Problems::default();
        let before = old.map(|old| Before {
            config: &old.config.brokers,
            clients: &old.brokers,
        });
        let brokers =
            bridge::clients(&config.brokers, before, &tools.bridge).unwrap_or_else(|error| {
                problems.error(
                    &["brokers"],
                    format!("no thread can be had for them: {error}"),
                );
                BTreeMap::new()
            });
        let before = old.map(|old| DatabasesBefore {
            config: &old.config.databases,
            clients: &old.databases,
        });
        let databases = bridge::databases(&config.databases, before, &tools.bridge);
        let databases = databases.unwrap_or_else(|error| {
            problems.error(
                &["databases"],
                format!("no thread can be had for them: {error}"),
            );
            BTreeMap::new()
        });
        let nothing = Kept::default();
        let old_kept = old.map_or(&nothing, |old| &old.kept);
        let mut kept = Kept::default();
        let slow_after = config.admin.config.slow_request.0;
        let slow_after = slow_after.unwrap_or(Duration::MAX);
        let mut routes = Vec::with_capacity(config.routes.len());
        let mut named = BTreeMap::new();
        for (name, route) in &config.routes {
            let summary = route.policies.config.summary();
            let site = target::Build {
                route: name,
                upstreams: &upstreams,
                brokers: &brokers,
                databases: &databases,
                resend: way_of_sending(route),
                allow: route.route.allow(),
                rest: route.route.rest(),
                opened: &route.opened,
            };
            let Some(target) = route.target.build(&site) else {
                problems.error(
                    &["routes", name.as_str()],
                    "a route needs a target that exists",
                );
                continue;
            };
            let mut build = Build::new(name.shared(), old_kept, &mut kept).with_fetch(&tools.fetch);
            let stack = stack(route, &mut build, target);
            let metrics = RouteMetrics::new(name.as_str());
            let metrics = metrics
                .kept_in(&tools.requests, slow_after)
                .may_refuse(&summary.reasons);
            let before = old.and_then(|old| old.serving.named.get(name.as_str()));
            let path = route.route.matches.path.clone();
            let ready = Route {
                name: name.shared(),
                path: path.map(|path| String::from(path).into()),
                stack,
                states: build.into_states(),
                answers_preflights: summary.answers_preflights,
                change_failure: summary.change_failure,
                metrics: Arc::new(match before {
                    Some(before) => metrics.following(&before.metrics),
                    None => metrics,
                }),
            };
            let ready = Arc::new(ready);
            named.insert(ready.name.clone(), ready.clone());
            routes.push((name.clone(), &route.route, ready));
        }
        if problems.has_errors() {
            return Err(problems);
        }
        let table = Table::build(routes)?;
        let tcp = tcp_routes::table(&config, &upstreams, old);
        let old_spans = old.and_then(|old| old.spans.as_ref());
        let settings = config.tracing.settings.as_ref();
        let spans = settings.map(|settings| Pipeline::next(settings, old_spans));
        let access_log = config
            .log
            .access_log
            .then(|| (tools.access_writer)())
            .flatten();
        let access_log =
            access_log.map(|out| Arc::new(AccessLog::new(&config.log.access_log_headers, out)));
        Ok(Snapshot {
            generation,
            content,
            loaded_at: SystemTime::now(),
            turns_at: config.certificates().next_change(SystemTime::now()),
            serving: Arc::new(Serving {
                table,
                tcp,
                named,
                access_log,
                requests: tools.requests.clone(),
                tracer: spans.as_ref().map(|spans| spans.tracer.clone()),
            }),
            spans,
            upstreams,
            brokers,
            databases,
            config,
            kept,
        })
    }

    /// Whether `loaded` was read from the same files with the same content, and would change nothing.
    pub fn is_of(&self, loaded: &Loaded) -> bool {
        self.content == loaded.content
    }

    /// Ends what would go on beside `next`, which serves now.
    pub fn superseded_by(&self, next: &Snapshot) {
        for (name, upstream) in &self.upstreams {
            upstream.superseded_by(next.upstreams.get(name));
        }
    }

    /// Closes what was idle for too long on the worker that calls this.
    pub fn sweep(&self) {
        for upstream in self.upstreams.values() {
            upstream.sweep();
        }
        for (database, _) in self.databases.values() {
            database.sweep();
        }
    }
}

/// What a route has sent once more at once.
pub(super) fn way_of_sending(route: &RouteConfig) -> Resend {
    let summary = route.policies.config.summary();
    match (!summary.never_resends, summary.retries) {
        (false, _) => Resend::Nothing,
        (true, true) => Resend::Stale,
        (true, false) => Resend::Unprocessed,
    }
}

/// All that a request of a route meets, over `target`.
pub(super) fn stack(
    route: &RouteConfig,
    build: &mut Build<'_>,
    target: Box<dyn Handler>,
) -> Box<dyn Handler> {
    let stack = route.policies.stack(build, target);
    if route.policies.config.summary().names_upstream {
        SettleUpstream::over(stack, route.target.settled_by())
    } else {
        stack
    }
}
