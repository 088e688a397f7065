//! `redirect`: where the caller is sent.

use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::block::{Block, Build, Options};
use crate::http::body::Body;
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::{Request, Response};
use crate::value::problem::Problems;
use crate::value::template::HeaderTemplate;
use crate::value::{Wrong, captures};

/// `redirect`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// 300 to 399, but for 304, which sends nobody anywhere.
    #[serde(default = "permanent_redirect")]
    pub status: u16,
    /// May use `${...}` variables. The caller's query follows, unless there is one here; `${query}` stands for it.
    pub location: Location,
}

impl Block for Config {
    fn check(&self, known: &[&str], problems: &mut Problems) {
        if !(300..=399).contains(&self.status) || self.status == 304 {
            problems
                .error(
                    &["status"],
                    format!("{} is not a redirect's status", self.status),
                )
                .help(
                    "308 and 301 are permanent, 307 and 302 temporary; 307 and 308 keep the method",
                );
        }
        if self.location.0.as_str().trim().is_empty() {
            problems.error(&["location"], "a redirect needs somewhere to go");
        }
        self.location.0.check(&["location"], problems);
        let used = self.location.0.captures();
        captures::check(known, &["location"], used, "", problems);
    }

    fn build(&self, _: &Build<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
        Some(Box::new(Redirect::new(self)))
    }
}

/// The `location` of a redirect: a [`HeaderTemplate`] that knows `${query}` too.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location(HeaderTemplate);

impl Location {
    fn render(&self, request: &Request) -> HeaderValue {
        let location = self.0.render(request);
        let query = request.target.query().filter(|query| !query.is_empty());
        match query {
            Some(query) if !self.0.names_query() => {
                with_query(&location, query).unwrap_or(location)
            }
            _ => location,
        }
    }
}

impl TryFrom<String> for Location {
    type Error = Wrong;

    fn try_from(text: String) -> Result<Self, Wrong> {
        HeaderTemplate::of_location(text).map(Location)
    }
}

impl From<Location> for String {
    fn from(location: Location) -> String {
        location.0.into()
    }
}

/// The location with the caller's query before its fragment; None when it has a query of its own.
fn with_query(location: &HeaderValue, query: &str) -> Option<HeaderValue> {
    let location = location.as_bytes();
    let fragment = memchr::memchr(b'#', location).unwrap_or(location.len());
    let (path, fragment) = location.split_at(fragment);
    if path.contains(&b'?') {
        return None;
    }
    HeaderValue::from_bytes(&[path, b"?", query.as_bytes(), fragment].concat()).ok()
}

/// The target of a route with `redirect`.
pub struct Redirect {
    status: StatusCode,
    location: Location,
}

impl Redirect {
    pub fn new(config: &Config) -> Self {
        Redirect {
            status: StatusCode::from_u16(config.status).unwrap_or(StatusCode::PERMANENT_REDIRECT),
            location: config.location.clone(),
        }
    }

    pub fn answer(&self, request: &Request) -> Response {
        let mut response = Response::new(self.status, Body::empty());
        let location = self.location.render(request);
        response.headers.append(&header::LOCATION, &location);
        response
    }
}

impl Handler for Redirect {
    fn call<'a>(&'a self, request: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(std::future::ready(Ok(Box::new(self.answer(&request)))))
    }
}

fn permanent_redirect() -> u16 {
    308
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{next, request};

    #[tokio::test]
    async fn the_location_is_filled_in() {
        let config: Config = toml::from_str(
            "status = 302\nlocation = \"https://new.example/${path.rest}?r=${route}\"",
        )
        .unwrap();
        let mut request = request("GET", "/old/a%20b");
        request.context.captures.push("rest".into(), "a%20b");
        request.context.route = "old".into();
        let response = next(&Redirect::new(&config)).call(request).await.unwrap();
        assert_eq!(response.status, 302);
        assert_eq!(
            response.headers.get_str(&header::LOCATION),
            Some("https://new.example/a%20b?r=old")
        );
    }

    #[test]
    fn the_query_stays_unless_the_location_has_one() {
        for (location, target, expected) in [
            (
                "/new/${path.rest}",
                "/old/a?id=5&x=%20",
                "/new/a?id=5&x=%20",
            ),
            ("/new#top", "/old/a?id=5", "/new?id=5#top"),
            ("/new#a?b", "/old/a?id=5", "/new?id=5#a?b"),
            ("/new", "/old/a?", "/new"),
            ("/new", "/old/a", "/new"),
            ("/new?v=2", "/old/a?id=5", "/new?v=2"),
            ("/new?", "/old/a?id=5", "/new?"),
            ("/new?v=2&${query}", "/old/a?id=5", "/new?v=2&id=5"),
            ("/find/${query}", "/old/a?id=5", "/find/id=5"),
        ] {
            let config = Config {
                status: 308,
                location: location.to_owned().try_into().unwrap(),
            };
            let mut request = request("GET", target);
            request.context.captures.push("rest".into(), "a");
            let response = Redirect::new(&config).answer(&request);
            let sent = response.headers.get_str(&header::LOCATION);
            assert_eq!(sent, Some(expected), "{location}");
        }
    }

    #[test]
    fn only_redirecting_statuses_are_taken() {
        for (status, problems_expected) in [(308, 0), (300, 0), (304, 1), (200, 1), (400, 1)] {
            let config = Config {
                status,
                location: "/x".to_owned().try_into().unwrap(),
            };
            let mut problems = Problems::default();
            config.check(&[], &mut problems);
            assert_eq!(problems.into_vec().len(), problems_expected, "{status}");
        }
    }
}
