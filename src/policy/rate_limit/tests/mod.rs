//! The policy as a route has it, from the text of its config to the requests that it grants.

use serde::Deserialize;

use super::*;
use crate::policy::build::Kept;
use crate::testing::{headers, request};

mod answers;
mod buckets;
mod config;
mod keys;
mod lists;

const SECOND: Duration = Duration::from_secs(1);

/// One route's limits, over as many configs as the test brings.
#[derive(Default)]
struct Route {
    kept: Kept,
}

impl Route {
    fn with(&mut self, config: &str) -> RateLimit {
        let mut next = Kept::default();
        let mut build = Build::new("r".into(), &self.kept, &mut next);
        let policy = RateLimit::new(&parsed(config), &mut build);
        self.kept = next;
        policy
    }
}

fn parsed(config: &str) -> Config {
    #[derive(Deserialize)]
    struct Block {
        rate_limit: Config,
    }
    toml::from_str::<Block>(&format!("rate_limit = {config}"))
        .unwrap()
        .rate_limit
}

fn limited(config: &str) -> RateLimit {
    Route::default().with(config)
}

fn from(user: &str) -> Box<Request> {
    let mut request = request("GET", "/");
    request.headers = headers(&[("x-user", user)]);
    request
}

/// How many of so many requests are granted.
fn granted(policy: &RateLimit, requests: usize, of: impl Fn() -> Box<Request>) -> usize {
    (0..requests).filter(|_| policy.pass(&of()).is_ok()).count()
}

fn plain() -> Box<Request> {
    request("GET", "/")
}

fn header_of(error: &Error, name: &str) -> String {
    let found = error.headers().iter().find(|(n, _)| n == name);
    found.unwrap().1.to_str().unwrap().to_owned()
}
