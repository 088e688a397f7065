//! The config that most tests want, line by line.

use std::fmt::Write;

use super::origin::Origin;

/// One listener `main` on a free loopback port, one upstream `origin`, one route `all` that leads there; tests
/// add lines to each.
pub struct Setup {
    listener: Vec<String>,
    endpoints: String,
    upstream: Vec<String>,
    route: Vec<String>,
    more: Vec<String>,
}

impl Setup {
    pub fn to(origin: &Origin) -> Setup {
        Setup::to_address(origin.address())
    }

    pub fn to_address(address: impl std::fmt::Display) -> Setup {
        Setup {
            listener: Vec::new(),
            endpoints: format!("[\"{address}\"]"),
            upstream: Vec::new(),
            route: Vec::new(),
            more: Vec::new(),
        }
    }

    /// A TOML list instead of the one address.
    #[must_use]
    pub fn endpoints(mut self, list: impl Into<String>) -> Setup {
        self.endpoints = list.into();
        self
    }

    /// A line of `[listeners.main]`.
    #[must_use]
    pub fn listener(mut self, line: impl Into<String>) -> Setup {
        self.listener.push(line.into());
        self
    }

    /// A line of `[upstreams.origin]`.
    #[must_use]
    pub fn upstream(mut self, line: impl Into<String>) -> Setup {
        self.upstream.push(line.into());
        self
    }

    /// A line of `[routes.all]`.
    #[must_use]
    pub fn route(mut self, line: impl Into<String>) -> Setup {
        self.route.push(line.into());
        self
    }

    /// Whole tables.
    #[must_use]
    pub fn also(mut self, tables: impl Into<String>) -> Setup {
        self.more.push(tables.into());
        self
    }

    /// The config as TOML.
    pub fn toml(&self) -> String {
        let listen = r#"listen = "127.0.0.1:0""#.to_owned();
        let endpoints = format!("endpoints = {}", self.endpoints);
        let target = r#"upstream = "origin""#.to_owned();
        let mut text = String::new();
        table(&mut text, "listeners.main", &listen, &self.listener);
        table(&mut text, "upstreams.origin", &endpoints, &self.upstream);
        table(&mut text, "routes.all", &target, &self.route);
        for tables in &self.more {
            text.push_str(tables);
            text.push('\n');
        }
        text
    }
}

fn table(text: &mut String, name: &str, first: &str, lines: &[String]) {
    let _infallible = writeln!(text, "[{name}]\n{first}");
    for line in lines {
        let _infallible = writeln!(text, "{line}");
    }
    text.push('\n');
}
