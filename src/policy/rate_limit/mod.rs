//! `rate_limit`: how many requests in a time, for the whole route or for each caller.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use metrics::{Counter, counter};
use serde_json::Value;
use tokio::time::Instant;

use super::build::{Build, ShowState};
use super::jwt;
use super::stack::{Filter, Outcome};
use super::table::{Block, Blocks, FromBlocks, Summary};
use crate::http::error::{Error, Reason};
use crate::http::exchange::Exchange;
use crate::http::headers::Headers;
use crate::http::message::Request;
use crate::http::semantics::retry_after;
use crate::net::timer;
use crate::value::OneOrMany;
use crate::value::exposition::Metric;
use crate::value::problem::Problems;

mod bucket;
mod fields;
mod key;
mod limit;
mod spending;
mod sync;
mod table;

use bucket::TOKEN;
pub use key::Key;
pub use limit::Limit;
use spending::{Facts, Spending};
use table::{Id, KeyTaken};

/// More requests came than a limit grants.
pub const RATE_LIMITED: Reason = Reason::new("rate_limited", 429);

/// Those that were refused are in `outrigger_refused_total` with the reason `rate_limited`.
const LIMITED: Metric = Metric::counter(
    "outrigger_rate_limited_total",
    "Requests over a rate limit, also those that only a shadow limit would have refused.",
);

/// Limits that one route may have.
const MOST_LIMITS: usize = 8;

/// `rate_limit`: one limit or a list. All of a list must grant a request, and none is spent when another refuses.
pub type Config = OneOrMany<Limit>;

impl Block for Config {
    const METRICS: &[Metric] = &[LIMITED];
    const REASONS: &[Reason] = &[RATE_LIMITED];

    fn check(&self, problems: &mut Problems) {
        match self.0.len() {
            0 => problems
                .error(&[], "a list without a limit limits nothing")
                .help("write `rate_limit = false` to turn it off"),
            1..=MOST_LIMITS => return,
            more => problems.error(
                &[],
                format!("{more} limits are too many; a route has at most {MOST_LIMITS}"),
            ),
        };
    }

    fn check_beside(&self, others: &Blocks<'_>, problems: &mut Problems) {
        let claim = self.0.iter().find_map(|limit| match &limit.key {
            Key::Claim(name) => Some(name.as_str()),
            _ => None,
        });
        if let Some(claim) = claim
            && others.on::<jwt::Config>().is_none()
        {
            problems
                .error(
                    &[],
                    format!("`{claim}` is a claim of a verified token, and the route has no `jwt`"),
                )
                .help("set `jwt` on the route or in `[defaults]`");
        }
    }

    fn tell(&self, summary: &mut Summary) {
        let by_identity = |limit: &Limit| limit.key == Key::ClientIdentity;
        if self.0.iter().any(by_identity) {
            let place = &["rate_limit"];
            summary.identities.push((place, "so all share one bucket"));
        }
    }
}

/// Refuses requests over a limit.
pub(super) struct RateLimit {
    limits: Arc<Limits>,
    /// Some limit tells what is left with each answer.
    tells: bool,
    limited: Counter,
}

impl FromBlocks for RateLimit {
    fn from_blocks(blocks: &Blocks<'_>, build: &mut Build<'_>) -> Option<Self> {
        Some(RateLimit::new(blocks.on()?, build))
    }
}

impl RateLimit {
    fn new(config: &Config, build: &mut Build<'_>) -> Self {
        let facts = build.keep::<Facts>();
        let limits = config
            .0
            .iter()
            .enumerate()
            .map(|(index, limit)| {
                let same_key = |other: &&Limit| other.key == limit.key;
                let nth = config.0[..index].iter().filter(same_key).count();
                Spending::new(limit, nth, &facts)
            })
            .collect();
        let limits = Arc::new(Limits(limits));
        build.show(limits.clone());
        RateLimit {
            tells: config.0.iter().any(|limit| limit.headers),
            limited: counter!(LIMITED.name, "route" => build.route.clone()),
            limits,
        }
    }

    /// Spends a token of each limit, or says which do not grant one.
    fn pass(&self, request: &Request) -> Result<Tally, Error> {
        let mut ids = [0; MOST_LIMITS];
        for (id, limit) in ids.iter_mut().zip(&*self.limits.0) {
            *id = limit.id(request);
        }
        let tally = self.spend(&ids, timer::now());
        if tally.over != 0 {
            self.limited.increment(1);
        }
        if tally.refused {
            Err(self.refusal(&tally))
        } else {
            Ok(tally)
        }
    }

    fn spend(&self, ids: &[Id; MOST_LIMITS], now: Instant) -> Tally {
        let mut tally = Tally::default();
        if let [only] = &*self.limits.0 {
            match only.take(ids[0], only.count(now)) {
                Ok(taken) => tally.owed[0] = taken.taken.owed,
                Err(owed) => tally.over(0, only, owed),
            }
            return tally;
        }
        let mut counts = [0; MOST_LIMITS];
        for (i, limit) in self.limits.0.iter().enumerate() {
            counts[i] = limit.count(now);
            let owed = limit.owed(ids[i], counts[i]);
            tally.owed[i] = owed;
            if owed + TOKEN > limit.burst {
                tally.over(i, limit, owed);
            }
        }
        if tally.refused {
            return tally;
        }
        let mut taken: [Option<KeyTaken>; MOST_LIMITS] = [None; MOST_LIMITS];
        for (i, limit) in self.limits.0.iter().enumerate() {
            if tally.is_over(i) {
                continue;
            }
            match limit.take(ids[i], counts[i]) {
                Ok(token) => {
                    tally.owed[i] = token.taken.owed;
                    taken[i] = Some(token);
                }
                Err(owed) => tally.over(i, limit, owed),
            }
            if tally.refused {
                // Another request took what was left there between the two looks.
                for (before, token) in taken.iter().enumerate() {
                    if let Some(token) = *token {
                        let limit = &self.limits.0[before];
                        tally.owed[before] -= TOKEN;
                        limit.give_back(ids[before], token, limit.count(Instant::now()));
                    }
                }
                break;
            }
        }
        tally
    }

    fn refusal(&self, tally: &Tally) -> Error {
        let enforced = || {
            self.limits
                .0
                .iter()
                .enumerate()
                .filter(|(_, l)| !l.shadow())
        };
        let wait = enforced()
            .filter(|(i, _)| tally.is_over(*i))
            .map(|(i, limit)| {
                let missing = (tally.owed[i] + TOKEN).saturating_sub(limit.burst);
                fields::seconds(missing, limit.rate)
            })
            .max();
        let wait = retry_after::write(Duration::from_secs(wait.unwrap_or_default()));
        let (left, policies) = self.told(tally, |limit| !limit.shadow());
        Error::new(
            RATE_LIMITED,
            "more requests than the route's rate limit grants",
        )
        .with_header(header::RETRY_AFTER, wait)
        .with_header(fields::RATE_LIMIT, left)
        .with_header(fields::RATE_LIMIT_POLICY, policies)
    }

    fn tell(&self, tally: &Tally, headers: &mut Headers) {
        let (left, policies) = self.told(tally, |limit| limit.config.headers);
        headers.append(&fields::RATE_LIMIT, &left);
        headers.append(&fields::RATE_LIMIT_POLICY, &policies);
    }

    /// The values of `RateLimit` and `RateLimit-Policy`.
    fn told(&self, tally: &Tally, which: impl Fn(&Spending) -> bool) -> (HeaderValue, HeaderValue) {
        let (mut left, mut policies) = (String::new(), Vec::new());
        for (limit, owed) in self.limits.0.iter().zip(tally.owed) {
            if which(limit) {
                fields::add(&mut left, &limit.name, owed, limit.burst, limit.rate);
                policies.push(limit.policy.as_str());
            }
        }
        (fields::value(&left), fields::value(&policies.join(", ")))
    }
}

impl Filter for RateLimit {
    /// Nothing, unless it is to be told.
    type State<'a> = Option<Box<Tally>>;

    fn on_request<'a>(
        &'a self,
        request: &mut Request,
        exchange: &'a Exchange<'a>,
    ) -> Result<Self::State<'a>, Error> {
        let trail = exchange.trail();
        let refused = |_: &Error| trail.acted("rate_limit", "refuses it: a bucket is empty");
        let tally = self.pass(request).inspect_err(refused)?;
        if tally.over != 0 {
            trail.acted("rate_limit", "would refuse it, and is in shadow");
        }
        Ok(self.tells.then(|| Box::new(tally)))
    }

    fn on_response(&self, tally: Self::State<'_>, outcome: Outcome) -> Outcome {
        let mut response = outcome?;
        if let Some(tally) = tally {
            self.tell(&tally, &mut response.headers);
        }
        Ok(response)
    }
}

/// The limits of a route.
struct Limits(Box<[Spending]>);

impl ShowState for Limits {
    fn state(&self) -> Value {
        self.0.iter().map(Spending::state).collect()
    }

    fn state_for(&self, request: &Request) -> Value {
        let limits = self.0.iter();
        limits.map(|limit| limit.state_for(request)).collect()
    }
}

/// What the limits said to one request.
#[derive(Default)]
pub(super) struct Tally {
    /// What the bucket of each owes, after the request.
    owed: [u64; MOST_LIMITS],
    /// A bit for each limit that does not grant it, also if it is a shadow.
    over: u8,
    refused: bool,
}

impl Tally {
    fn over(&mut self, index: usize, limit: &Spending, owed: u64) {
        self.owed[index] = owed;
        self.over |= 1 << index;
        self.refused |= !limit.shadow();
    }

    fn is_over(&self, index: usize) -> bool {
        self.over & 1 << index != 0
    }
}

#[cfg(test)]
mod races;
#[cfg(test)]
mod tests;
