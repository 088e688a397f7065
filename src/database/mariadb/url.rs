//! `mysql://user:password@host:3306,other:3306/name?ssl-mode=required`: the servers, and who logs in.

use crate::database::reach::Address;
use crate::database::url::{self, Encrypted, decode};
use crate::value::Wrong;

const PORT: u16 = 3306;

/// Servers that are tried in their order, and who logs in to each. It has no `Debug`: it holds a password.
#[derive(Clone)]
pub(super) struct Servers {
    pub addresses: Vec<Address>,
    pub user: String,
    pub password: String,
    /// Empty where none is chosen.
    pub database: String,
    pub encrypted: Encrypted,
}

/// What is wrong with a URL. Nothing of it is told but names of parameters: it is a secret.
pub(in crate::database) fn check(url: &str) -> Result<Encrypted, Wrong> {
    parse(url).map(|servers| servers.encrypted)
}

pub(super) fn parse(url: &str) -> Result<Servers, Wrong> {
    const FORM: &str = "write it like \"mysql://user:password@host:3306/name\"";
    let form = || Wrong::new("the URL of this database cannot be read").help(FORM);
    let (_, rest) = url.split_once("://").ok_or_else(form)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = place.rsplit_once('@').unwrap_or(("", place));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let user = decode(user)?;
    if user.is_empty() {
        return Err(Wrong::new("the URL of this database has no user").help(FORM));
    }
    let mut servers = Servers {
        addresses: Vec::new(),
        user,
        password: decode(password)?,
        database: decode(database)?,
        encrypted: Encrypted::AsConfigured,
    };
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        let (name, port) = url::place(host, PORT).ok_or_else(form)?;
        servers.addresses.push(if name.starts_with('/') {
            Address::Unix(name.into())
        } else {
            Address::Tcp(name, port)
        });
    }
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        servers.parameter(&name, &value)?;
    }
    if servers.addresses.is_empty() {
        let here = Address::Tcp("localhost".to_owned(), PORT);
        servers.addresses.push(here);
    }
    Ok(servers)
}

impl Servers {
    fn parameter(&mut self, name: &str, value: &str) -> Result<(), Wrong> {
        let word = value.to_ascii_lowercase().replace('_', "-");
        match (name, word.as_str()) {
            ("ssl-mode" | "sslmode" | "sslMode", mode) => {
                self.encrypted = match mode {
                    "disable" | "disabled" => Encrypted::Never,
                    "prefer" | "preferred" => Encrypted::AsConfigured,
                    "require" | "required" | "verify-ca" | "verify-full" | "verify-identity" => {
                        Encrypted::Always
                    }
                    _ => {
                        return Err(Wrong::new("`ssl-mode` in the URL of this database is none")
                            .help(
                                "write `disabled`, `preferred`, `required` or `verify-identity`",
                            ));
                    }
                };
            }
            ("socket", _) if value.starts_with('/') => {
                self.addresses.push(Address::Unix(value.into()));
            }
            ("charset", "utf8mb4") => {}
            ("ssl-ca" | "ssl-cert" | "ssl-key", _) => {
                return Err(Wrong::new(format!("`{name}` in the URL of this database is written elsewhere"))
                    .help("write `tls = { ca = \"ca.pem\" }`, with `cert` and `key` where the server wants them"));
            }
            _ => {
                let name: String = name
                    .chars()
                    .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
                    .take(32)
                    .collect();
                return Err(Wrong::new(format!(
                    "`{name}` in the URL of this database is not known, or has a wrong value"
                ))
                .help("known are `ssl-mode`, `socket` (a path) and `charset=utf8mb4`"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_servers_a_user_and_a_database() {
        let servers =
            parse("mysql://me:p%40ss@one:3307,[::1]/shop?ssl-mode=VERIFY_IDENTITY").unwrap();
        let expected = [
            Address::Tcp("one".to_owned(), 3307),
            Address::Tcp("::1".to_owned(), 3306),
        ];
        assert_eq!(servers.addresses, expected);
        assert_eq!(
            (servers.user.as_str(), servers.database.as_str()),
            ("me", "shop")
        );
        assert_eq!(servers.password, "p@ss");
        assert_eq!(servers.encrypted, Encrypted::Always);
        for url in [
            "mariadb://me@/?socket=/run/x.sock",
            "mysql://me@%2Frun%2Fx.sock",
        ] {
            let servers = parse(url).unwrap();
            assert_eq!(servers.addresses, [Address::Unix("/run/x.sock".into())]);
            assert_eq!(servers.database, "");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_it() {
        for url in [
            "mysql:hush",
            "mysql://host/hush",
            "mysql://me:hush@host:port/x",
            "mysql://me:hush@a b/x",
            "mysql://me:%ff@host/hush",
            "mysql://me:hush@host/x?ssl-mode=hush",
            "mysql://me:hush@host/x?password=hush",
            "mysql://me:hush@host/x?ssl-ca=hush",
        ] {
            let wrong = check(url).unwrap_err();
            assert!(!format!("{wrong:?}").contains("hush"), "{wrong:?}");
        }
    }
}
