//! One request over HTTP/1.1, the upstream's answer to it, and what each side gets of the other.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::holds;
use crate::support::{Head, Launch, Origin, Recorded, Response, SOON, Script, Setup};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    #[serde(default)]
    listener: String,
    #[serde(default)]
    upstream: String,
    #[serde(default)]
    route: String,
    #[serde(default)]
    tables: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    name: String,
    #[serde(default)]
    listener: String,
    #[serde(default)]
    upstream: String,
    #[serde(default)]
    route: String,
    #[serde(default)]
    tables: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    request: String,
    raw: Option<String>,
    answer: Option<String>,
    expect: Wanted,
    forwarded: Option<Forwarded>,
    keeps: Option<bool>,
}

/// What becomes of the request: `false`, or what the upstream gets.
#[derive(Deserialize)]
#[serde(untagged)]
enum Forwarded {
    Something(bool),
    As(Box<Wanted>),
}

/// What a message must be like, as far as it is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    status: Option<u16>,
    reason: Option<String>,
    start: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    absent: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    contains: Vec<String>,
}

impl super::Family for Family {
    type Case = Case;

    fn cases(self) -> Vec<Case> {
        let mut cases = self.case;
        for case in &mut cases {
            for (line, shared) in [
                (&mut case.listener, &self.listener),
                (&mut case.upstream, &self.upstream),
                (&mut case.route, &self.route),
                (&mut case.tables, &self.tables),
            ] {
                *line = format!("{shared}\n{line}");
            }
            for (name, text) in &self.files {
                case.files
                    .entry(name.clone())
                    .or_insert_with(|| text.clone());
            }
        }
        cases
    }

    fn name(case: &Case) -> &str {
        &case.name
    }

    fn run(case: &Case) -> Result<(), String> {
        let request = case
            .raw
            .clone()
            .unwrap_or_else(|| on_the_wire(&case.request));
        let method = request.split(' ').next().unwrap_or_default().to_owned();
        let script = match &case.answer {
            Some(answer) => Script::new().send(on_the_wire(answer)),
            None => Script::answer("ok"),
        };
        let origin = Origin::start().otherwise(script);
        let setup = Setup::to(&origin)
            .listener(&case.listener)
            .upstream(&case.upstream)
            .route(&case.route)
            .also(&case.tables);
        let mut launch = Launch::new(setup.toml());
        for (name, text) in &case.files {
            launch = launch.file(name, text);
        }
        let proxy = launch.try_start().map_err(|exited| format!("{exited:?}"))?;
        let mut client = proxy.client();
        client.send(&request);
        let answer = client
            .try_answer_to(&method)
            .map_err(|cut| format!("no answer: {cut}"))?;
        case.expect.compare_answer(&answer)?;
        match &case.forwarded {
            None => {}
            Some(Forwarded::Something(wanted)) => {
                holds(*wanted != origin.requests().is_empty(), || {
                    format!("forwarded: {:?}", origin.requests())
                })?
            }
            Some(Forwarded::As(wanted)) => wanted.compare_request(&origin.only_request())?,
        }
        match case.keeps {
            None => Ok(()),
            Some(false) => holds(client.closes_within(SOON), || {
                "the connection stays open".into()
            }),
            Some(true) => {
                client.send_request("GET", "/", &[], "");
                let again = client.try_answer_to("GET");
                again
                    .map(drop)
                    .map_err(|cut| format!("the connection is of no more use: {cut}"))
            }
        }
    }
}

/// The lines of a head end in CRLF; the body is as it stands.
fn on_the_wire(text: &str) -> String {
    let text = text.strip_prefix('\n').unwrap_or(text);
    match text.split_once("\n\n") {
        Some((head, body)) => format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n")),
        None => format!("{}\r\n\r\n", text.trim_end().replace('\n', "\r\n")),
    }
}

impl Wanted {
    fn compare_answer(&self, answer: &Response) -> Result<(), String> {
        let found = (Some(answer.status), answer.reason());
        let wanted = (self.status, self.reason.as_deref());
        holds(found == wanted, || {
            format!("answered {found:?}: {}", answer.text())
        })?;
        self.compare("answer", &answer.head, &answer.text())
    }

    fn compare_request(&self, request: &Recorded) -> Result<(), String> {
        self.compare("forwarded request", &request.head, &request.text())
    }

    fn compare(&self, what: &str, head: &Head, body: &str) -> Result<(), String> {
        if let Some(start) = &self.start {
            let found = &head.start;
            holds(found == start, || format!("{what}: begins with {found:?}"))?;
        }
        for (name, wanted) in &self.headers {
            let found = head.get(name);
            holds(found == Some(wanted), || {
                format!("{what}: {name} is {found:?}")
            })?;
        }
        for name in &self.absent {
            let found = head.get(name);
            holds(found.is_none(), || format!("{what}: {name} is {found:?}"))?;
        }
        if let Some(wanted) = &self.body {
            holds(body == wanted, || format!("{what}: the body is {body:?}"))?;
        }
        for part in &self.contains {
            holds(body.contains(part), || {
                format!("{what}: no {part:?} in {body:?}")
            })?;
        }
        Ok(())
    }
}
