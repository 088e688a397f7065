//! A broker's block once it was checked.

use super::{Config, Kind, url};
use crate::tls::inventory::Inventory;
use crate::tls::remote;
use crate::value::problem::Problems;

/// A broker's block, and what was opened of it.
pub type Checked = remote::Checked<Config, Kind>;
/// What was opened of a broker's block.
pub type Opened = remote::Opened<Kind>;

impl Config {
    /// Opens and judges all that is named, and tells what certificates were found. None when it is not fit to serve.
    pub fn open(&self, problems: &mut Problems) -> (Option<Opened>, Inventory) {
        let url = problems.within(&["url"], |problems| self.url.open(problems));
        let kind = url.as_ref().and_then(|url| {
            let found = Kind::of_url(url.reveal());
            let kind = found.and_then(|(kind, tls)| {
                url::check(kind, url.reveal())?;
                Ok((kind, tls))
            });
            kind.map_err(|wrong| problems.wrong(&["url"], wrong)).ok()
        });
        let mut inventory = Inventory::default();
        let opened = kind.zip(url).and_then(|((kind, encrypted), url)| {
            self.check_kind(kind, problems);
            let tls = if encrypted {
                let tls = remote::open(self.tls.as_ref(), problems, &mut inventory);
                Some(tls?)
            } else if self.tls.is_some() {
                problems
                    .error(&["tls"], "the URL of this broker is one without TLS")
                    .help("write the URL's scheme with an `s` at its end");
                return None;
            } else {
                None
            };
            Some(Opened::new(kind, url, tls))
        });
        (opened, inventory)
    }
}
