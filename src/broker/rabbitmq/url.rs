//! The URL of a broker, which is a secret but for its host.

use lapin::uri::AMQPUri;

use crate::value::Wrong;

/// Where a broker is, and as whom to log in there.
#[derive(Clone)]
pub(super) struct Address {
    /// Its host is not to be trusted: of an IPv6 address it has nothing.
    pub uri: AMQPUri,
    pub host: String,
}

impl Address {
    /// `amqp://user:password@host:port/vhost`.
    ///
    /// # Errors
    /// When it is none. Nothing of it is told.
    pub fn parse(url: &str) -> Result<Self, Wrong> {
        let none = || {
            Wrong::new("this is no URL of RabbitMQ").help(
                "write it like `amqp://user:password@host:5672/vhost`, and what is special in a name or a password by \
                 its code: `%2F` for `/`, `%40` for `@`",
            )
        };
        // The scheme may be written in any case.
        let (scheme, rest) = url.split_once("://").ok_or_else(none)?;
        let uri: AMQPUri = format!("{}://{rest}", scheme.to_ascii_lowercase())
            .parse()
            .map_err(|_| none())?;
        if uri.vhost.is_empty() {
            let wrong = Wrong::new("the URL names a virtual host without a name");
            return Err(
                wrong.help("leave out the `/` at its end for the one called `/`, or write `/%2F`")
            );
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let place = authority
            .rsplit_once('@')
            .map_or(authority, |(_, place)| place);
        let host = match place
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
        {
            Some((ipv6, _)) => ipv6.to_owned(),
            None => uri.authority.host.clone(),
        };
        Ok(Address { uri, host })
    }

    pub fn port(&self) -> u16 {
        self.uri.authority.port
    }

    /// `host:port`, which is all that may be told of it.
    pub fn shown(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port())
        } else {
            format!("{}:{}", self.host, self.port())
        }
    }
}

/// What is wrong with a URL of RabbitMQ. Nothing of it is told.
pub(in crate::broker) fn check_url(url: &str) -> Result<(), Wrong> {
    Address::parse(url).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_the_broker_is_and_who_logs_in() {
        for (url, shown, vhost, user) in [
            ("amqp://rabbit", "rabbit:5672", "/", "guest"),
            ("AMQPS://a:b@rabbit/shop", "rabbit:5671", "shop", "a"),
            ("amqp://a:b%40c@10.0.0.1:1/%2F", "10.0.0.1:1", "/", "a"),
            (
                "amqp://a:b@[::1]:5673/x?heartbeat=1",
                "[::1]:5673",
                "x",
                "a",
            ),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.shown(), shown);
            assert_eq!(address.uri.vhost, vhost);
            assert_eq!(address.uri.authority.userinfo.username, user);
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_it() {
        for url in [
            "amqp://me:hush@rabbit:port",
            "amqp://me:hush@rabbit?heartbeat=hush",
            "amqp://me:hush@rabbit/",
            "hush",
        ] {
            let wrong = format!("{:?}", check_url(url).unwrap_err());
            assert!(!wrong.contains("hush"), "{wrong}");
        }
    }
}
