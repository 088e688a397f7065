//! A database's block once it was checked.

use super::url::Encrypted;
use super::{Config, Kind, url};
use crate::tls::inventory::Inventory;
use crate::tls::remote;
use crate::value::problem::Problems;

/// A database's block, and what was opened of it.
pub type Checked = remote::Checked<Config, Kind>;
/// What was opened of a database's block.
pub type Opened = remote::Opened<Kind>;

impl Config {
    /// Opens and judges all that is named, and tells what certificates were found. None when it is not fit to serve.
    pub fn open(&self, problems: &mut Problems) -> (Option<Opened>, Inventory) {
        let mut inventory = Inventory::default();
        let url = problems.within(&["url"], |problems| self.url.open(problems));
        let opened = url.and_then(|url| {
            let kind = Kind::of_url(url.reveal());
            let found = kind.and_then(|kind| Ok((kind, url::check(kind, url.reveal())?)));
            let found = found.map_err(|wrong| problems.wrong(&["url"], wrong));
            let (kind, encrypted) = found.ok()?;
            let tls = match (&self.tls, encrypted) {
                (Some(_), Encrypted::Never) => {
                    problems
                        .error(&["tls"], "the URL of this database is one without TLS")
                        .help("take `sslmode` out of the URL, or take out `tls`");
                    return None;
                }
                (None, Encrypted::Never | Encrypted::AsConfigured) => None,
                (tls, _) => Some(remote::open(tls.as_ref(), problems, &mut inventory)?),
            };
            Some(Opened::new(kind, url, tls))
        });
        (opened, inventory)
    }
}
