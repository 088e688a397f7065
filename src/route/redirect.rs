//! `redirect`: where the caller is sent.

use http::{StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::message::{Request, Response};
use crate::policy::stack::{Answer, Handler};
use crate::problem::Problems;
use crate::template::HeaderTemplate;

/// `redirect`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RedirectConfig {
    /// 300 to 399, but for 304, which sends nobody anywhere.
    #[serde(default = "permanent_redirect")]
    pub status: u16,
    /// May use `{name}` of the path and `${...}` variables. The query is not carried over.
    pub location: Location,
}

impl RedirectConfig {
    pub(super) fn check(&self, problems: &mut Problems) {
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
        if self.location.is_empty() {
            problems.error(&["location"], "a redirect needs somewhere to go");
        }
    }
}

/// The `location` of a redirect: a [`HeaderTemplate`] that knows `{name}` too.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location(HeaderTemplate);

impl Location {
    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.captures()
    }

    fn is_empty(&self) -> bool {
        self.0.as_str().is_empty()
    }
}

impl TryFrom<String> for Location {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        HeaderTemplate::with_captures(text).map(Location)
    }
}

impl From<Location> for String {
    fn from(location: Location) -> String {
        location.0.into()
    }
}

/// The target of a route with `redirect`.
pub struct Redirect {
    status: StatusCode,
    location: Location,
}

impl Redirect {
    pub fn new(config: &RedirectConfig) -> Self {
        Redirect {
            status: StatusCode::from_u16(config.status).unwrap_or(StatusCode::PERMANENT_REDIRECT),
            location: config.location.clone(),
        }
    }

    pub fn answer(&self, request: &Request) -> Response {
        let mut response = Response::new(self.status, Body::empty());
        let location = self.location.0.render(request);
        response.headers.append(&header::LOCATION, &location);
        response
    }
}

impl Handler for Redirect {
    fn call<'a>(&'a self, request: Box<Request>) -> Answer<'a> {
        Box::pin(std::future::ready(Ok(Box::new(self.answer(&request)))))
    }
}

fn permanent_redirect() -> u16 {
    308
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::request;

    #[tokio::test]
    async fn the_location_is_filled_in() {
        let config: RedirectConfig =
            toml::from_str("status = 302\nlocation = \"https://new.example/{rest}?r=${route}\"")
                .unwrap();
        let mut request = request("GET", "/old/a%20b");
        request.context.captures.push("rest".into(), "a%20b");
        request.context.route = "old".into();
        let response = Redirect::new(&config).call(request).await.unwrap();
        assert_eq!(response.status, 302);
        assert_eq!(
            response.headers.get_str(&header::LOCATION),
            Some("https://new.example/a%20b?r=old")
        );
    }

    #[test]
    fn only_redirecting_statuses_are_taken() {
        for (status, problems_expected) in [(308, 0), (300, 0), (304, 1), (200, 1), (400, 1)] {
            let config = RedirectConfig {
                status,
                location: "/x".to_owned().try_into().unwrap(),
            };
            let mut problems = Problems::default();
            config.check(&mut problems);
            assert_eq!(problems.into_vec().len(), problems_expected, "{status}");
        }
    }
}
