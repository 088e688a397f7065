//! `kafka://user:password@host:9092,other:9092?mechanism=scram-sha-512`: the brokers to ask first, and who logs in.

use percent_encoding::percent_decode_str;

use crate::value::Wrong;

/// Where Kafka listens.
const PORT: u16 = 9092;

const SHAPE: &str = "write it like \"kafka://user:password@host:9092,other:9092\"";

/// The brokers to ask first, and who logs in. It has no `Debug`: it holds a password.
pub(super) struct Address {
    /// `host:port`, divided by commas.
    pub servers: String,
    pub login: Option<Login>,
}

/// Who logs in, by SASL.
pub(super) struct Login {
    pub mechanism: Mechanism,
    pub user: String,
    pub password: String,
}

/// How the password is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

/// What is wrong with a URL. Nothing of it is told: it is a secret.
pub(in crate::broker) fn check(url: &str) -> Result<(), Wrong> {
    parse(url).map(drop)
}

/// Reads a URL, whose scheme was looked at.
pub(super) fn parse(url: &str) -> Result<Address, Wrong> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let mechanism = query.map_or(Ok(Mechanism::Plain), parse_query)?;
    let (login, hosts) = match rest.rsplit_once('@') {
        Some((login, hosts)) => (Some(parse_login(login, mechanism)?), hosts),
        None => (None, rest),
    };
    let hosts = hosts.strip_suffix('/').unwrap_or(hosts);
    let servers: Result<Vec<String>, Wrong> = hosts.split(',').map(parse_host).collect();
    Ok(Address {
        servers: servers?.join(","),
        login,
    })
}

fn parse_query(query: &str) -> Result<Mechanism, Wrong> {
    let value = query.strip_prefix("mechanism=").ok_or_else(|| {
        Wrong::new("behind the `?` of this broker's URL stands something else than `mechanism`")
    })?;
    match value.to_ascii_lowercase().as_str() {
        "plain" => Ok(Mechanism::Plain),
        "scram-sha-256" => Ok(Mechanism::ScramSha256),
        "scram-sha-512" => Ok(Mechanism::ScramSha512),
        _ => Err(Wrong::new("the `mechanism` in this broker's URL is none")
            .help("write `plain`, `scram-sha-256` or `scram-sha-512`")),
    }
}

fn parse_login(text: &str, mechanism: Mechanism) -> Result<Login, Wrong> {
    let decode = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.is_empty() => Ok(decoded.into_owned()),
        _ => Err(
            Wrong::new("the user or the password in this broker's URL is empty, or no UTF-8")
                .help(SHAPE),
        ),
    };
    let (user, password) = text
        .split_once(':')
        .ok_or_else(|| Wrong::new("this broker's URL has a user and no password").help(SHAPE))?;
    Ok(Login {
        mechanism,
        user: decode(user)?,
        password: decode(password)?,
    })
}

/// `host:port` of a host with or without its port.
fn parse_host(text: &str) -> Result<String, Wrong> {
    let wrong = || Wrong::new("this broker's URL has something else than hosts in it").help(SHAPE);
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (text, PORT),
    };
    let is_v6 = host.starts_with('[') && host.ends_with(']');
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if host.is_empty() || (!is_v6 && !host.chars().all(fits)) {
        return Err(wrong());
    }
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_brokers_and_who_logs_in() {
        let address = parse("kafka://a,b:19092,[::1]/").unwrap();
        assert_eq!(address.servers, "a:9092,b:19092,[::1]:9092");
        assert!(address.login.is_none());
        let address = parse("kafkas://me:a%40b@a?mechanism=SCRAM-SHA-256").unwrap();
        let login = address.login.unwrap();
        assert_eq!((&*login.user, &*login.password), ("me", "a@b"));
        assert_eq!(login.mechanism, Mechanism::ScramSha256);
    }

    #[test]
    fn a_wrong_url_is_refused_without_being_told() {
        for url in [
            "kafka://",
            "kafka://a,,b",
            "kafka://a:hush",
            "kafka://hush@a",
            "kafka://me:@a",
            "kafka://a/hush",
            "kafka://me:hush@a?mechanism=hush",
            "kafka://a?hush",
        ] {
            let wrong = check(url).expect_err(url);
            assert!(!format!("{wrong:?}").contains("hush"), "{wrong:?}");
        }
    }
}
