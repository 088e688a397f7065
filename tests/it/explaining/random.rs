//! For any config and any request, what is explained is what happens.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fastrand::Rng;
use outrigger::app::explain::offline;
use outrigger::config;
use outrigger::explain::{Explanation, OutcomeKind, Question};
use outrigger::value::OneOrMany;

use crate::support::{Client, Origin, Proxy, Response};

const CONFIGS: u64 = 6;
const REQUESTS: usize = 60;
const ROUTES: usize = 14;

#[test]
fn any_request_takes_the_route_and_the_end_that_are_explained() {
    let (mut forwarded, mut refused) = (0, 0);
    for seed in 0..CONFIGS {
        let mut rng = Rng::with_seed(seed);
        let trial = Trial::start(&mut rng);
        let mut admin = trial.proxy.admin_client();
        for _ in 0..REQUESTS {
            let question = question(&mut rng);
            let body = serde_json::to_string(&question).unwrap();
            let told = admin.request("POST", "/explain", &[], &body);
            let live: Explanation = serde_json::from_slice(&told.body).unwrap();
            let alone = offline(&trial.loaded, &question).unwrap();
            let what = format!("seed {seed}: {body}\n{}\n{live:#?}", trial.text);
            assert_eq!(route(&live), route(&alone), "{what}");
            assert_eq!(live.passed_over, alone.passed_over, "{what}");
            // What takes nothing has a reason; what would take it has another before it.
            for passed in &live.passed_over {
                let before = passed.why.contains("takes precedence");
                assert_eq!(passed.condition.is_none(), before, "{what}");
            }
            assert_eq!(live.outcome.kind, alone.outcome.kind, "{what}");
            assert_eq!(live.outcome.reason, alone.outcome.reason, "{what}");
            assert_eq!(live.policies.len(), alone.policies.len(), "{what}");
            trial.compare(&question, &live, &what);
            forwarded += usize::from(live.outcome.kind == OutcomeKind::Forward);
            refused += usize::from(live.outcome.kind == OutcomeKind::Refused);
        }
    }
    // Neither kind is an exception.
    assert!(forwarded > 60 && refused > 60, "{forwarded}, {refused}");
}

fn route(explanation: &Explanation) -> Option<&str> {
    explanation.route.as_ref().map(|route| &*route.name)
}

/// A running proxy with a random config, and its upstreams.
struct Trial {
    proxy: Proxy,
    a: Origin,
    b: Origin,
    text: String,
    loaded: config::Loaded,
    /// Of its listeners.
    addresses: BTreeMap<&'static str, SocketAddr>,
}

impl Trial {
    fn start(rng: &mut Rng) -> Trial {
        let (a, b) = (Origin::start(), Origin::start());
        let mut text = format!(
            "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[listeners.other]\nlisten = \"127.0.0.1:0\"\n\
             [upstreams.a]\nendpoints = [\"{}\"]\n[upstreams.b]\nendpoints = [\"{}\"]\n",
            a.address(),
            b.address()
        );
        for index in 0..ROUTES {
            // Without those that cannot stand beside the others.
            let more = text.clone() + &a_route(rng, index);
            if config::parse("random", &more).is_ok() {
                text = more;
            }
        }
        let proxy = Proxy::start(&text);
        let address = |name| (name, proxy.address_of(name).unwrap().parse().unwrap());
        Trial {
            addresses: ["main", "other"].map(address).into(),
            proxy,
            loaded: config::parse("random", &text).unwrap(),
            text,
            a,
            b,
        }
    }

    /// Sends what was explained, and looks at what becomes of it.
    fn compare(&self, question: &Question, explanation: &Explanation, what: &str) {
        let listener = question.listener.as_deref().unwrap();
        let mut client = Client::tcp(self.addresses[listener]);
        let headers: Vec<(&str, &str)> = question
            .headers
            .iter()
            .flat_map(|(name, values)| values.0.iter().map(|value| (&**name, &**value)))
            .collect();
        let before = (self.a.requests().len(), self.b.requests().len());
        let answer = client.request(&question.method, &question.url, &headers, "");
        let grown = |origin: &Origin, before: usize| origin.requests().len() > before;
        let reached = match (grown(&self.a, before.0), grown(&self.b, before.1)) {
            (true, false) => Some(("a", &self.a)),
            (false, true) => Some(("b", &self.b)),
            _ => None,
        };
        let outcome = &explanation.outcome;
        assert_eq!(
            reached.map(|(name, _)| name),
            outcome.upstream.as_deref(),
            "{what}"
        );
        if let Some((_, origin)) = reached {
            let sent = explanation.sends.as_ref().unwrap();
            let requests = origin.requests();
            let seen = requests.last().unwrap();
            assert_eq!(
                (seen.target(), seen.method()),
                (&*sent.path, &*sent.method),
                "{what}"
            );
            assert_eq!(seen.header("host"), sent.host.as_deref(), "{what}");
            let via = sent.headers.iter().find(|field| field.name == "x-via");
            assert_eq!(
                seen.header("x-via"),
                via.map(|field| &*field.value),
                "{what}"
            );
        } else {
            let status = outcome.status;
            assert_eq!(Some(answer.status), status, "{what}");
            assert_eq!(answer.reason(), outcome.reason.as_deref(), "{what}");
        }
        self.compare_route(&answer, explanation, what);
    }

    fn compare_route(&self, answer: &Response, explanation: &Explanation, what: &str) {
        // What `cors` answers itself has no mark of its route.
        if explanation.sends.is_none() && answer.reason().is_none() {
            return;
        }
        if answer.reason().is_none() {
            assert_eq!(answer.header("x-route"), route(explanation), "{what}");
        } else if !answer.body.is_empty() {
            let told = answer.json()["route"].as_str().unwrap().to_owned();
            assert_eq!(told, route(explanation).unwrap_or("none"), "{what}");
        }
    }
}

/// One of `of`.
fn any<'t>(rng: &mut Rng, of: &[&'t str]) -> &'t str {
    of[rng.usize(..of.len())]
}

fn a_route(rng: &mut Rng, index: usize) -> String {
    let path = any(
        rng,
        &[
            "",
            "/x",
            "/x/{p}",
            "/x/y",
            "/{p}/y",
            "/x/{*r}",
            "/{*r}",
            "/{p}/{*r}",
            "/x/{p}/z",
        ],
    );
    let quoted = if path.is_empty() {
        String::new()
    } else {
        format!("path = \"{path}\"")
    };
    let conditions = [
        quoted,
        any(
            rng,
            &[
                "",
                "",
                "host = \"a.example\"",
                "host = \"*.example\"",
                "host = \"*.b.example\"",
            ],
        )
        .to_owned(),
        any(
            rng,
            &[
                "",
                "",
                "methods = [\"GET\"]",
                "methods = [\"POST\", \"TRACE\"]",
            ],
        )
        .to_owned(),
        any(
            rng,
            &[
                "",
                "",
                "headers = { x-k = \"1\" }",
                "headers = { x-k = \"*\" }",
                "headers = { x-k = { regex = \"^[0-9]$\" } }",
            ],
        )
        .to_owned(),
        any(
            rng,
            &["", "", "query = { v = \"2\" }", "query = { v = \"*\" }"],
        )
        .to_owned(),
        any(rng, &["", "", "", "path_regex = \"[a-z]$\""]).to_owned(),
        any(
            rng,
            &[
                "",
                "",
                "listener = \"main\"",
                "listener = [\"other\", \"main\"]",
            ],
        )
        .to_owned(),
    ];
    let conditions: Vec<String> = conditions
        .into_iter()
        .filter(|one| !one.is_empty())
        .collect();
    let rewrite = match any(rng, &["", "p", "r", "host"]) {
        "p" if path.contains("{p}") => "rewrite = { path = \"/in/${path.p}\" }\n",
        "r" if path.contains("{*r}") => {
            "rewrite = { path = \"/in/${path.r}\", host = \"new.example\" }\n"
        }
        "host" => "rewrite = { host = \"upstream\" }\n",
        _ => "",
    };
    let split = "split = [{ upstream = \"a\", weight = 1 }, { upstream = \"b\", weight = 2 }]\nsticky = \"header:x-u\"\n";
    let target = match rng.u8(..7) {
        0 | 1 => format!("upstream = \"a\"\n{rewrite}"),
        2 | 3 => format!("upstream = \"b\"\n{rewrite}"),
        4 => format!("{split}{rewrite}"),
        5 => "respond = { status = 203 }\n".to_owned(),
        _ => "redirect = { status = 307, location = \"/to${path}\" }\n".replace("${path}", ""),
    };
    let more = [
        any(
            rng,
            &["", "", "", "authorize = { cidrs = [\"10.0.0.0/8\"] }\n"],
        ),
        any(
            rng,
            &[
                "",
                "",
                "cors = { allow_origins = [\"https://a.example\"] }\n",
            ],
        ),
        any(rng, &["", "", "allow_encoded_slashes = true\n"]),
        any(rng, &["", "concurrency_limit = { max = 50 }\n"]),
    ];
    format!(
        "[routes.r{index}]\nmatch = {{ {} }}\n{target}{}\
         request = {{ set_headers = {{ x-via = \"${{route}} ${{client.ip}}\" }} }}\n\
         response = {{ set_headers = {{ x-route = \"${{route}}\" }} }}\n",
        conditions.join(", "),
        more.concat()
    )
}

fn question(rng: &mut Rng) -> Question {
    let mut url = String::new();
    for _ in 0..rng.usize(1..4) {
        url.push('/');
        url.push_str(any(
            rng,
            &[
                "x", "x", "y", "z", "7", "", "..", "a%2Fb", "%7a", "%zz", "x%20y",
            ],
        ));
    }
    url.push_str(any(rng, &["", "", "?v=2", "?v=3&v=2", "?w", "?v"]));
    let mut headers = BTreeMap::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            let values = OneOrMany(vec![value.to_owned()]);
            headers.insert(name.to_owned(), values);
        }
    };
    add(
        "host",
        any(
            rng,
            &[
                "localhost",
                "a.example",
                "A.EXAMPLE.:80",
                "c.example",
                "d.b.example",
            ],
        ),
    );
    add("x-k", any(rng, &["", "", "1", "x", "a, 7"]));
    add("x-u", any(rng, &["one", "two", "three", "four"]));
    let mut method = any(
        rng,
        &[
            "GET", "GET", "GET", "POST", "PUT", "HEAD", "TRACE", "OPTIONS",
        ],
    );
    if rng.u8(..6) == 0 {
        method = "OPTIONS";
        add("origin", "https://a.example");
        add("access-control-request-method", any(rng, &["GET", "PUT"]));
        add("access-control-request-headers", any(rng, &["", "x-k"]));
    }
    Question {
        method: method.to_owned(),
        url,
        headers,
        listener: Some(any(rng, &["main", "other"]).to_owned()),
        client: None,
        identity: None,
        original: None,
        body: None,
    }
}
