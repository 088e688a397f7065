//! `postgres://user:password@host:5432,other:5432/name?sslmode=require`: the servers, and who logs in.

use std::path::PathBuf;

use crate::database::reach::Address;
use crate::database::url::{self, Encrypted, decode};
use crate::value::Wrong;

const PORT: u16 = 5432;

/// Servers that are tried in their order, and who logs in to each. It has no `Debug`: it holds a password.
#[derive(Clone)]
pub(super) struct Servers {
    pub addresses: Vec<Address>,
    pub user: String,
    pub password: Option<String>,
    pub database: String,
    pub encrypted: Encrypted,
    /// What is told to the server when a connection begins, beside what this client needs itself.
    pub parameters: Vec<(String, String)>,
    /// A server that takes no writes is not the one that is meant.
    pub must_write: bool,
}

/// What is wrong with a URL. Nothing of it is told but names of parameters: it is a secret.
pub(in crate::database) fn check(url: &str) -> Result<Encrypted, Wrong> {
    parse(url).map(|servers| servers.encrypted)
}

pub(super) fn parse(url: &str) -> Result<Servers, Wrong> {
    let form = || {
        Wrong::new("the URL of this database cannot be read")
            .help("write it like \"postgres://user:password@host:5432/name\"")
    };
    let (_, rest) = url.split_once("://").ok_or_else(form)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = place.rsplit_once('@').unwrap_or(("", place));
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?)),
        None => (login, None),
    };
    let user = decode(user)?;
    if user.is_empty() {
        return Err(Wrong::new("the URL of this database has no user")
            .help("write it like \"postgres://user:password@host:5432/name\""));
    }
    let mut servers = Servers {
        addresses: Vec::new(),
        database: match decode(database)? {
            name if name.is_empty() => user.clone(),
            name => name,
        },
        user,
        password,
        encrypted: Encrypted::AsConfigured,
        parameters: Vec::new(),
        must_write: false,
    };
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        servers.addresses.push(address(host).ok_or_else(form)?);
    }
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        servers.parameter(&name, &value)?;
    }
    if servers.addresses.is_empty() {
        servers
            .addresses
            .push(Address::Tcp("localhost".to_owned(), PORT));
    }
    Ok(servers)
}

impl Servers {
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        match (name, value) {
            ("sslmode", "disable") => self.encrypted = Encrypted::Never,
            ("sslmode", "allow" | "prefer") => self.encrypted = Encrypted::AsConfigured,
            ("sslmode", "require" | "verify-ca" | "verify-full") => {
                self.encrypted = Encrypted::Always;
            }
            ("sslmode", _) => {
                return Err(Wrong::new("`sslmode` in the URL of this database is none")
                    .help("write `disable`, `require` or `verify-full`"));
            }
            ("host", path) if path.starts_with('/') => {
                self.addresses.push(Address::Unix(socket(path, PORT)));
            }
            ("application_name" | "options", value) if !value.contains('\0') => {
                self.parameters.push((name.to_owned(), value.to_owned()));
            }
            ("target_session_attrs", "any") => {}
            ("target_session_attrs", "read-write" | "primary") => self.must_write = true,
            ("sslrootcert" | "sslcert" | "sslkey", _) => {
                return Err(Wrong::new(format!("`{name}` in the URL of this database is written elsewhere"))
                    .help("write `tls = { ca = \"ca.pem\" }`, with `cert` and `key` where the server wants them"));
            }
            _ => {
                let name: String = name
                    .chars()
                    .filter(char::is_ascii_alphanumeric)
                    .take(32)
                    .collect();
                return Err(Wrong::new(format!("`{name}` in the URL of this database is not known, or has a wrong value"))
                    .help("known are `sslmode`, `host` (a folder), `application_name`, `options` and `target_session_attrs`"));
            }
        }
        Ok(())
    }
}

fn address(host: &str) -> Option<Address> {
    let (name, port) = url::place(host, PORT)?;
    if name.starts_with('/') {
        return Some(Address::Unix(socket(&name, port)));
    }
    Some(Address::Tcp(name, port))
}

/// The socket in a folder, as PostgreSQL calls it.
fn socket(folder: &str, port: u16) -> PathBuf {
    PathBuf::from(folder).join(format!(".s.PGSQL.{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers_a_user_and_a_database() {
        let servers =
            parse("postgres://me:p%40ss@one:6432,[::1]/shop?sslmode=require&application_name=x")
                .unwrap();
        assert_eq!(
            servers.addresses,
            [
                Address::Tcp("one".to_owned(), 6432),
                Address::Tcp("::1".to_owned(), 5432)
            ]
        );
        assert_eq!(
            (servers.user.as_str(), servers.database.as_str()),
            ("me", "shop")
        );
        assert_eq!(servers.password.as_deref(), Some("p@ss"));
        assert_eq!(servers.encrypted, Encrypted::Always);
        let servers = parse("postgresql://me@/?host=/run/pg").unwrap();
        assert_eq!(
            servers.addresses,
            [Address::Unix("/run/pg/.s.PGSQL.5432".into())]
        );
        assert_eq!(servers.database, "me");
        let servers = parse("postgres://me@%2Frun%2Fpg:1/x").unwrap();
        assert_eq!(
            servers.addresses,
            [Address::Unix("/run/pg/.s.PGSQL.1".into())]
        );
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_it() {
        for url in [
            "postgres:hush",
            "postgres://host/hush",
            "postgres://me:hush@host:port/x",
            "postgres://me:hush@a b/x",
            "postgres://me:%ff@host/hush",
            "postgres://me:hush@host/x?sslmode=hush",
            "postgres://me:hush@host/x?password=hush",
            "postgres://me:hush@host/x?sslrootcert=hush",
        ] {
            let wrong = check(url).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hush"), "{wrong:?}");
        }
    }
}
