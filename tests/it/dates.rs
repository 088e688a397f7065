//! Every answer has one date (RFC 9110, section 6.6.1).

use std::time::{Duration, SystemTime};

use crate::support::{H2Client, Origin, Proxy, Script, Setup};

const OWN: &str = "[routes.here]\nmatch = { path = \"/here\" }\nrespond = { status = 201, body = \"x\" }\n\
    [routes.there]\nmatch = { path = \"/there\" }\nredirect = { location = \"/\" }\n\
    [routes.dated]\nmatch = { path = \"/dated\" }\nrespond = { headers = { Date = \"mine\" } }\n";

fn origin() -> Origin {
    Origin::start()
        .on(
            "/dated-upstream",
            Script::new().send("HTTP/1.1 200 OK\r\nDate: theirs\r\ncontent-length: 0\r\n\r\n"),
        )
        .on(
            "/broken",
            Script::new().answering("500 Internal Server Error", "x"),
        )
        .on(
            "/unchanged",
            Script::new().send("HTTP/1.1 304 Not Modified\r\n\r\n"),
        )
        .on(
            "/hints",
            Script::new()
                .send("HTTP/1.1 103 Early Hints\r\n\r\n")
                .answering("200 OK", "x"),
        )
        .on("/chat", Script::upgrade("websocket"))
}

fn is_now(date: &str) -> bool {
    let told = httpdate::parse_http_date(date).unwrap_or_else(|error| panic!("{date}: {error}"));
    let age = SystemTime::now().duration_since(told);
    // The clock of a busy machine, not the precision of the date.
    age.is_ok_and(|age| age < Duration::from_secs(60))
}

#[test]
fn answers_of_the_proxy_and_of_upstreams_without_one_get_a_date() {
    let origin = origin();
    let cors = "cors = { allow_origins = [\"https://a.example\"] }";
    let proxy = Proxy::with(&Setup::to(&origin).route(cors).also(OWN));
    let preflight = [
        ("origin", "https://a.example"),
        ("access-control-request-method", "PUT"),
    ];
    let http2 = H2Client::connect(proxy.address());
    for (method, path, headers, status) in [
        ("GET", "/", &[][..], 200),
        ("GET", "/broken", &[], 500),
        ("GET", "/unchanged", &[], 304),
        ("GET", "/hints", &[], 200),
        ("GET", "/here", &[], 201),
        ("HEAD", "/here", &[], 201),
        ("GET", "/there", &[], 308),
        ("TRACE", "/", &[], 405),
        ("GET", "/%2F", &[], 400),
        ("OPTIONS", "/", &preflight, 204),
    ] {
        let answer = proxy.client().request(method, path, headers, "");
        assert_eq!(answer.status, status, "{path}");
        let dates = answer.head.all("date");
        assert!(dates.len() == 1 && is_now(dates[0]), "{path} {dates:?}");
        assert!(answer.interim.iter().all(|head| head.get("date").is_none()));
        let answer = http2.request(method, path, headers, "");
        assert_eq!(answer.status, status, "{path}");
        let dates: Vec<_> = answer.headers.get_all("date").iter().collect();
        assert!(
            dates.len() == 1 && is_now(dates[0].to_str().unwrap()),
            "{path}"
        );
    }
}

#[test]
fn a_date_that_is_there_stays() {
    let origin = origin();
    let proxy = Proxy::with(&Setup::to(&origin).also(OWN));
    assert_eq!(proxy.get("/dated-upstream").head.all("date"), ["theirs"]);
    assert_eq!(proxy.get("/dated").head.all("date"), ["mine"]);
}
