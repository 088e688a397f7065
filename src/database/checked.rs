//! A database's block once it was checked.

use std::sync::Arc;

use serde::Serialize;

use super::{Config, Kind, url};
use crate::tls::inventory::Inventory;
use crate::tls::outbound;
use crate::value::SecretText;
use crate::value::problem::Problems;

/// A database's block, and what was opened of it. Only this can be put to use. It serializes as it was written.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Checked {
    pub config: Config,
    #[serde(skip)]
    opened: Opened,
}

/// What was opened of a database's block.
#[derive(Clone, Debug)]
pub struct Opened {
    pub kind: Kind,
    url: SecretText,
    /// How TLS is spoken, where it is.
    tls: Option<Arc<outbound::Client>>,
}

impl Config {
    /// Opens and judges all that is named, and tells what certificates were found. None when it is not fit to serve.
    pub fn open(&self, problems: &mut Problems) -> (Option<Opened>, Inventory) {
        let mut inventory = Inventory::default();
        let url = problems.within(&["url"], |problems| self.url.open(problems));
        let opened = url.and_then(|url| {
            let kind = Kind::of_url(url.reveal());
            let encrypted = kind.and_then(|kind| Ok((kind, url::check(kind, url.reveal())?)));
            let (kind, encrypted) = match encrypted {
                Ok(found) => found,
                Err(wrong) => {
                    problems.wrong(&["url"], wrong);
                    return None;
                }
            };
            let tls = match &self.tls {
                Some(_) if encrypted == url::Encrypted::Never => {
                    problems
                        .error(&["tls"], "the URL of this database is one without TLS")
                        .help("take `sslmode` out of the URL, or take out `tls`");
                    return None;
                }
                None if encrypted != url::Encrypted::Always => None,
                tls => {
                    let config = tls.clone().unwrap_or_default();
                    let opened = problems.within(&["tls"], |problems| config.open(problems));
                    inventory.append(&["tls"], &opened.inventory);
                    Some(outbound::Client::next(&config, &*opened.material?, None)?)
                }
            };
            Some(Opened { kind, url, tls })
        });
        (opened, inventory)
    }
}

impl Checked {
    pub fn new(config: Config, opened: Opened) -> Self {
        Checked { config, opened }
    }

    pub fn kind(&self) -> Kind {
        self.opened.kind
    }

    #[cfg_attr(
        not(any(feature = "mysql", feature = "postgres", feature = "sqlite")),
        expect(dead_code, reason = "no kind is built in that would ask")
    )]
    pub(super) fn url(&self) -> &str {
        self.opened.url.reveal()
    }

    #[cfg_attr(
        not(any(feature = "mysql", feature = "postgres")),
        expect(dead_code, reason = "no kind is built in that would ask")
    )]
    pub(super) fn tls(&self) -> Option<&Arc<outbound::Client>> {
        self.opened.tls.as_ref()
    }

    /// Whether a client of `other` would be the same.
    pub fn is_like(&self, other: &Checked) -> bool {
        let (a, b) = (&self.opened, &other.opened);
        let alike = match (&a.tls, &b.tls) {
            (None, None) => true,
            (Some(a), Some(b)) => a.is_like(b),
            _ => false,
        };
        self.config == other.config && a.url == b.url && alike
    }
}
