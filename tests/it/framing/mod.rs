//! A message that two programs could read differently goes no further.

use crate::support::{Origin, Proxy, Response, SOON, Setup};

mod answers;
mod bodies;
mod heads;

const HOST: &str = "Host: localhost\r\n";

/// Each of these request heads, sent as it stands, must be refused before a byte goes upstream.
fn assert_refused_before_forwarding(
    cases: &[(&str, String)],
    status: u16,
    reason: &str,
    setup: fn(Setup) -> Setup,
) {
    let origin = Origin::start();
    let proxy = Proxy::with(&setup(Setup::to(&origin)));
    assert_none_wrong(cases, |request: &String| {
        let before = origin.connections();
        let mut client = proxy.client();
        match client.send(request).try_answer() {
            Err(cut) => Err(format!("no answer: {cut}")),
            Ok(answer) => is(&answer, status, Some(reason)),
        }?;
        holds(client.closes_within(SOON), "the connection stays open")?;
        holds(origin.connections() == before, "something went upstream")
    });
    assert_eq!(proxy.get("/").status, 200, "and the proxy goes on");
}

fn assert_bad_request(cases: &[(&str, String)]) {
    assert_refused_before_forwarding(cases, 400, "bad_request", |setup| setup);
}

/// A POST with these header lines and a body that fits none of them well.
fn post(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\n{HOST}{lines}\r\n0\r\n\r\n")
}

fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{HOST}{lines}\r\n")
}

/// Checks every case and names all that are wrong, not the first only.
fn assert_none_wrong<T>(cases: &[(&str, T)], check: impl Fn(&T) -> Result<(), String>) {
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, case)| check(case).err().map(|what| format!("{name}: {what}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn is(answer: &Response, status: u16, reason: Option<&str>) -> Result<(), String> {
    let found = (answer.status, answer.reason());
    holds(found == (status, reason), &format!("answered {found:?}"))
}

fn holds(condition: bool, what: &str) -> Result<(), String> {
    condition.then_some(()).ok_or_else(|| what.to_owned())
}
