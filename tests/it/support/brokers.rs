//! The client of a broker as a test asks it: it waits for what comes, and no longer than [`LIMIT`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use outrigger::broker::{Checked, Client, Config, Consumer, Delivery, connect};
use outrigger::value::problem::Problems;
use tokio::runtime::Handle;

/// Longer than anything may take, also what waits for a broker to miss somebody.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A client of the broker whose block has `url` and then `config`.
pub fn client(url: &str, config: &str) -> Arc<dyn Client> {
    let block = format!("url = {{ value = {url:?} }}\n{config}");
    let config: Config = toml::from_str(&block).expect("a block of a broker");
    let mut problems = Problems::default();
    config.check(&mut problems);
    let (opened, _) = config.open(&mut problems);
    assert!(!problems.has_errors(), "{:?}", problems.into_vec());
    let checked = Checked::new(config, opened.expect("a broker without problems"));
    let client = connect("events", &checked, &Handle::current());
    client.expect("this kind of broker is built in")
}

/// Looks again and again until `holds`.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Its result, which comes within the limit of a test.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(LIMIT, future).await;
    result.expect("an answer in time")
}

pub async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let next = tokio::time::timeout(LIMIT, consumer.next()).await;
    next.unwrap_or_else(|_| panic!("no message came: {:?}", consumer.trouble()))
}
