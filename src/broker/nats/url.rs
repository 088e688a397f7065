//! `nats://user:password@host:4222,other:4222`: the servers, and who logs in.

use async_nats::{Auth, ServerAddr};
use percent_encoding::percent_decode_str;

use crate::value::Wrong;

/// Servers of one cluster, and who logs in to each of them. It has no `Debug`: it holds a password.
#[derive(Clone)]
pub(super) struct Servers {
    pub addresses: Vec<ServerAddr>,
    pub login: Login,
}

/// A user with a password, a token, or nobody.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Login {
    user: Option<String>,
    password: Option<String>,
    token: Option<String>,
}

impl Login {
    pub fn auth(&self) -> Auth {
        let mut auth = Auth::new();
        auth.username = self.user.clone();
        auth.password = self.password.clone();
        auth.token = self.token.clone();
        auth
    }
}

/// What is wrong with a URL. Nothing of it is told: it is a secret.
pub(in crate::broker) fn check(url: &str) -> Result<(), Wrong> {
    parse(url).map(drop)
}

/// The servers that a URL names, the schemes of which were looked at. Each may have a scheme of its own, and one who logs in: the same
/// for all.
pub(super) fn parse(url: &str) -> Result<Servers, Wrong> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    let mut addresses = Vec::new();
    let mut login: Option<Login> = None;
    for server in url.split(',') {
        let rest = match server.split_once("://") {
            Some((other, rest)) if scheme.is_some_and(|s| s.eq_ignore_ascii_case(other)) => rest,
            Some(_) => {
                return Err(Wrong::new(
                    "the servers in the URL of this broker have different schemes",
                ));
            }
            None => server,
        };
        let (who, host) = match rest.rsplit_once('@') {
            Some((who, host)) => (Some(parse_login(who)?), host),
            None => (None, rest),
        };
        match (who, &login) {
            (Some(who), Some(before)) if who != *before => {
                return Err(Wrong::new(
                    "the servers in the URL of this broker have different users",
                )
                .help("all servers of a cluster know the same ones"));
            }
            (Some(who), None) => login = Some(who),
            _ => {}
        }
        addresses.push(parse_host(host.strip_suffix('/').unwrap_or(host))?);
    }
    Ok(Servers {
        addresses,
        login: login.unwrap_or_default(),
    })
}

fn parse_login(text: &str) -> Result<Login, Wrong> {
    let decode = |text: &str| {
        let decoded = percent_decode_str(text).decode_utf8();
        decoded.map(|text| text.into_owned()).map_err(|_| {
            Wrong::new("the user or the password in the URL of this broker is not text in UTF-8")
        })
    };
    Ok(match text.split_once(':') {
        Some((user, password)) => Login {
            user: Some(decode(user)?),
            password: Some(decode(password)?),
            token: None,
        },
        None => Login {
            token: Some(decode(text)?),
            ..Login::default()
        },
    })
}

fn parse_host(host: &str) -> Result<ServerAddr, Wrong> {
    let wrong = || {
        Wrong::new("the URL of this broker has something else than a host and a port in it").help(
            "write it like \"nats://host:4222\", with a user and a password in front of the host",
        )
    };
    if host.is_empty() || host.contains(['/', '?', '#', '@']) {
        return Err(wrong());
    }
    // The login is given apart: what the library logs of an address must not have it.
    let address: ServerAddr = format!("nats://{host}").parse().map_err(|_| wrong())?;
    let is_whole = !address.host().is_empty() && address.port() != 0;
    if is_whole { Ok(address) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers_and_one_who_logs_in() {
        let servers = parse("nats://me:p%40ss@one:4222,two:5222,nats://[::1]").unwrap();
        let hosts: Vec<(String, u16)> = servers
            .addresses
            .iter()
            .map(|address| (address.host().to_owned(), address.port()))
            .collect();
        assert_eq!(
            hosts,
            [
                ("one".to_owned(), 4222),
                ("two".to_owned(), 5222),
                ("::1".to_owned(), 4222)
            ]
        );
        assert_eq!(servers.login.user.as_deref(), Some("me"));
        assert_eq!(servers.login.password.as_deref(), Some("p@ss"));
        let servers = parse("natss://t0ken@one").unwrap();
        assert_eq!(servers.login.token.as_deref(), Some("t0ken"));
        assert!(parse("nats://one").unwrap().login == Login::default());
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_it() {
        for url in [
            "nats://",
            "nats://hush@",
            "nats://hush:hush@one,hush:other@two",
            "nats://one,natss://hush@two",
            "nats://hush@one/vhost",
            "nats://hush@one:port",
            "nats://hush@one,,two",
            "nats://%ff@one",
        ] {
            let wrong = check(url).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hush"), "{wrong:?}");
        }
    }
}
