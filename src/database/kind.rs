//! The kinds of databases that there are.

use crate::value::Wrong;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    MySql,
    Sqlite,
}

/// What differs from kind to kind, and is known before there is a connection.
struct Facts {
    name: &'static str,
    /// The schemes of its URLs.
    schemes: &'static [&'static str],
    /// The cargo feature that builds it.
    feature: &'static str,
    is_built: bool,
}

const ALL: [Kind; 3] = [Kind::Postgres, Kind::MySql, Kind::Sqlite];

impl Kind {
    const fn facts(self) -> Facts {
        match self {
            Kind::Postgres => Facts {
                name: "PostgreSQL",
                schemes: &["postgres", "postgresql"],
                feature: "postgres",
                is_built: cfg!(feature = "postgres"),
            },
            Kind::MySql => Facts {
                name: "MariaDB",
                schemes: &["mysql", "mariadb"],
                feature: "mysql",
                is_built: cfg!(feature = "mysql"),
            },
            Kind::Sqlite => Facts {
                name: "SQLite",
                schemes: &["sqlite"],
                feature: "sqlite",
                is_built: cfg!(feature = "sqlite"),
            },
        }
    }

    /// Its name, as it writes it itself.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// What OpenTelemetry calls it (`db.system.name`).
    pub const fn system(self) -> &'static str {
        match self {
            Kind::Postgres => "postgresql",
            Kind::MySql => "mariadb",
            Kind::Sqlite => "sqlite",
        }
    }

    /// The kind that a URL is for.
    ///
    /// # Errors
    /// When no kind has such URLs, or this program was built without it. The URL is a secret: nothing of it is told.
    pub fn of_url(url: &str) -> Result<Kind, Wrong> {
        let help = || {
            let schemes: Vec<String> = ALL
                .iter()
                .map(|kind| format!("`{}://`", kind.facts().schemes[0]))
                .collect();
            format!("begin it with one of {}", schemes.join(", "))
        };
        let Some((scheme, _)) = url.split_once(':') else {
            return Err(Wrong::new("the URL of this database has no scheme").help(help()));
        };
        let scheme = scheme.to_ascii_lowercase();
        let kind = ALL
            .into_iter()
            .find(|kind| kind.facts().schemes.contains(&scheme.as_str()));
        let Some(kind) = kind else {
            let wrong = Wrong::new("the URL of this database has the scheme of no database");
            return Err(wrong.help(help()));
        };
        let facts = kind.facts();
        if !facts.is_built {
            return Err(Wrong::new(format!(
                "{} is known, but not built in here (feature `{}`)",
                facts.name, facts.feature
            )));
        }
        Ok(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_its_kind_and_nothing_else() {
        for (url, kind) in [
            ("Postgres://a", Kind::Postgres),
            ("postgresql://a", Kind::Postgres),
            ("mysql://a", Kind::MySql),
            ("sqlite:///a", Kind::Sqlite),
        ] {
            match Kind::of_url(url) {
                Ok(found) => assert_eq!(found, kind),
                Err(wrong) => assert!(wrong.message.contains(kind.name()), "{wrong:?}"),
            }
        }
        for text in ["hush@host", "hush://host", ""] {
            let wrong = format!("{:?}", Kind::of_url(text).unwrap_err());
            assert!(
                !wrong.contains("hush") && wrong.contains("sqlite"),
                "{wrong}"
            );
        }
    }
}
