//! Which route a connection takes.

use std::net::SocketAddr;

use super::config::Config;
use crate::route::HostPattern;
use rank::Rank;

/// What is known of a connection that is not HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub listener: &'a str,
    /// Where the caller had connected to, if the kernel redirected it.
    pub destination: Option<SocketAddr>,
    /// The name that its TLS asks for, in lower case without a final dot.
    pub name: Option<&'a str>,
}

/// Routes, each with what is found by it.
pub struct Table<T>(Vec<(Config, T)>);

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table(Vec::new())
    }
}

impl<T> FromIterator<(Config, T)> for Table<T> {
    fn from_iter<I: IntoIterator<Item = (Config, T)>>(routes: I) -> Self {
        Table(routes.into_iter().collect())
    }
}

impl<T> Table<T> {
    pub fn find(&self, wanted: &Wanted<'_>) -> Option<&T> {
        let ranked = self.of(wanted.listener).filter_map(|(config, found)| {
            let rank = Rank::of(config, wanted)?;
            Some((rank, found))
        });
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, found)| found)
    }

    /// Whether some route takes connections of `listener`.
    pub fn serves(&self, listener: &str) -> bool {
        self.of(listener).next().is_some()
    }

    /// Whether the name that TLS asks for makes a difference to callers of `listener`.
    pub fn asks_for_names(&self, listener: &str) -> bool {
        let mut served = self.of(listener);
        served.any(|(config, _)| !config.names().is_empty())
    }

    /// What is found by each.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, found)| found)
    }

    fn of(&self, listener: &str) -> impl Iterator<Item = &(Config, T)> {
        self.0
            .iter()
            .filter(move |(config, _)| config.serves(listener))
    }
}

/// How well a route fits.
pub(super) mod rank {
    use super::*;

    /// Larger is better, the first of these first. Each is 0 for a route without that condition.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Rank {
        /// The length of a suffix, or more than any for an exact name.
        name: usize,
        /// The length of a network, plus one.
        network: u8,
        port: bool,
    }

    impl Rank {
        /// That of the condition of each list which fits best; None where one does not hold.
        pub fn of(config: &Config, wanted: &Wanted<'_>) -> Option<Self> {
            let (names, networks, ports) = (config.names(), config.networks(), config.ports());
            let name = best(names, |pattern| of_name(pattern, wanted.name?))?;
            let network = best(networks, |network| {
                let ip = wanted.destination?.ip().to_canonical();
                network.0.contains(&ip).then(|| network.0.prefix_len() + 1)
            })?;
            let port = best(ports, |port| {
                (wanted.destination?.port() == *port).then_some(true)
            })?;
            Some(Rank {
                name,
                network,
                port,
            })
        }
    }

    /// The best rank in a list of conditions: none of them ranks lowest.
    fn best<C, R: Ord + Default>(conditions: &[C], rank: impl Fn(&C) -> Option<R>) -> Option<R> {
        if conditions.is_empty() {
            return Some(R::default());
        }
        conditions.iter().filter_map(rank).max()
    }

    fn of_name(pattern: &HostPattern, name: &str) -> Option<usize> {
        match pattern {
            HostPattern::Exact(exact) => (exact == name).then_some(usize::MAX),
            HostPattern::Suffix(suffix) => {
                let below = name.strip_suffix(suffix.as_str())?;
                (below.len() > 1 && below.ends_with('.')).then_some(suffix.len())
            }
        }
    }

    /// Whether some connection ranks the same with both. Conditions of one rank that hold for the same connection are the
    /// same, but for bits of a network that do not count.
    pub fn tie(one: &Config, other: &Config) -> bool {
        meet(one.names(), other.names(), PartialEq::eq)
            && meet(one.networks(), other.networks(), |network, other| {
                network.0.trunc() == other.0.trunc()
            })
            && meet(one.ports(), other.ports(), PartialEq::eq)
    }

    fn meet<C>(conditions: &[C], others: &[C], same: impl Fn(&C, &C) -> bool) -> bool {
        let both_are_open = conditions.is_empty() && others.is_empty();
        let mut all = conditions.iter();
        both_are_open || all.any(|condition| others.iter().any(|other| same(condition, other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(routes: &[(&'static str, &str)]) -> Table<&'static str> {
        let routes = routes.iter().map(|(name, text)| {
            let config: Config = toml::from_str(&format!("refuse = true\n{text}")).unwrap();
            (config, *name)
        });
        routes.collect()
    }

    fn found(
        table: &Table<&'static str>,
        destination: Option<&str>,
        name: Option<&str>,
    ) -> &'static str {
        let destination = destination.map(|address| address.parse().unwrap());
        let wanted = Wanted {
            listener: "out",
            destination,
            name,
        };
        table.find(&wanted).copied().unwrap_or("none")
    }

    #[test]
    fn the_best_fit_is_found_whatever_the_order() {
        let mut routes = [
            ("any", "listener = \"out\""),
            ("elsewhere", "listener = \"in\"\nmatch = { port = 25 }"),
            (
                "exact",
                "match = { sni = [\"db.a.example\", \"x.example\"] }",
            ),
            ("deep", "match = { sni = \"*.a.example\" }"),
            ("flat", "match = { sni = \"*.example\" }"),
            ("port", "match = { port = [5432, 5433] }"),
            ("wide", "match = { destination = \"10.0.0.0/8\" }"),
            (
                "near",
                "match = { destination = [\"10.1.0.0/16\", \"fd00::/8\"] }",
            ),
            (
                "both",
                "match = { destination = \"10.0.0.0/8\", port = 5432 }",
            ),
            (
                "all",
                "match = { sni = \"*.a.example\", destination = \"10.0.0.0/8\" }",
            ),
        ];
        for _ in 0..routes.len() {
            routes.rotate_left(1);
            let table = table(&routes);
            for (destination, name, expected) in [
                (None, None, "any"),
                (None, Some("db.a.example"), "exact"),
                (None, Some("x.example"), "exact"),
                (None, Some("y.a.example"), "deep"),
                (None, Some("z.y.a.example"), "deep"),
                (None, Some("a.example"), "flat"),
                (None, Some("example"), "any"),
                (None, Some("notexample"), "any"),
                (None, Some(".example"), "any"),
                (Some("192.0.2.1:5433"), None, "port"),
                (Some("10.2.0.1:1"), None, "wide"),
                (Some("10.2.0.1:5432"), None, "both"),
                (Some("10.1.0.1:5432"), None, "near"),
                (Some("[::ffff:10.1.0.1]:5432"), None, "near"),
                (Some("[fd00::1]:5432"), None, "near"),
                (Some("10.1.0.1:1"), Some("y.a.example"), "all"),
                (Some("10.1.0.1:1"), Some("y.b.example"), "flat"),
                (Some("192.0.2.1:25"), None, "any"),
            ] {
                let got = found(&table, destination, name);
                assert_eq!(got, expected, "{destination:?} {name:?}");
            }
        }
    }

    #[test]
    fn what_no_route_takes_is_not_found() {
        let table = table(&[
            ("in", "listener = \"in\""),
            ("sni", "match = { sni = \"a.b\" }"),
        ]);
        assert_eq!(found(&table, None, None), "none");
        assert!(table.serves("out") && table.asks_for_names("out"));
        assert!(!Table::<()>::default().serves("out"));
    }

    #[test]
    fn routes_tie_where_a_connection_may_take_either() {
        let tie = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| {
                let text = format!("refuse = true\nmatch = {{ {text} }}");
                toml::from_str::<Config>(&text).unwrap()
            });
            rank::tie(&one, &other)
        };
        assert!(tie("", ""));
        assert!(tie("port = [1, 2]", "port = [2, 3]"));
        assert!(tie(
            "destination = \"10.1.2.3/8\"",
            "destination = \"10.0.0.0/8\""
        ));
        assert!(tie("sni = [\"a.b\", \"*.c\"]", "sni = \"*.C.\""));
        assert!(!tie("sni = \"a.c\"", "sni = \"*.c\""));
        assert!(!tie("port = 1", ""));
        assert!(!tie("port = 1", "port = 2"));
        assert!(!tie(
            "destination = \"10.0.0.0/8\"",
            "destination = \"10.0.0.0/9\""
        ));
    }
}
