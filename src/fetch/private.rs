//! TLS of calls: whom the server of an `https://` URL must be signed by.

use std::sync::Arc;

use super::Url;
use crate::tls::Opened;
use crate::tls::outbound::{Client, Config, Material};
use crate::value::FilePath;
use crate::value::problem::Problems;

/// What was opened of the key `ca`, which stands beside a URL: a PEM file of the CAs to which the server's certificate
/// must lead, in place of the system's. It is yet another when other CAs are believed.
#[derive(Clone, Debug)]
pub struct Private(Option<Believed>);

#[derive(Clone, Debug)]
struct Believed {
    material: Arc<Material>,
    /// All calls have this one, so that they share connections.
    client: Option<Arc<Client>>,
}

impl Private {
    /// What can be told of `ca` without the file.
    pub fn check(url: &Url, ca: Option<&FilePath>, problems: &mut Problems) {
        if ca.is_some() && !url.is_encrypted() {
            let message = "an `http://` URL is fetched without TLS, so these CAs are not asked";
            problems.warning(&["ca"], message);
        }
    }

    /// Opens what calls to `url` need.
    pub fn open(url: &Url, ca: Option<&FilePath>, problems: &mut Problems) -> Opened<Self> {
        if !url.is_encrypted() {
            return Opened::without_certificates(Some(Arc::new(Private(None))));
        }
        let config = Config::believing(ca.cloned());
        config.open(problems).map(|material| {
            let client = Client::next(&config, &material, None);
            Private(Some(Believed { material, client }))
        })
    }

    /// None where there is no TLS.
    pub fn client(&self) -> Option<Arc<Client>> {
        self.0.as_ref()?.client.clone()
    }
}

impl PartialEq for Private {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(this), Some(other)) => this.material.believes_like(&other.material),
            (this, other) => this.is_none() && other.is_none(),
        }
    }
}
