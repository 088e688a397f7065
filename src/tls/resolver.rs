//! Which certificate a caller is shown.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::staple::Staple;

/// Certificates by the names that they are for.
#[derive(Debug)]
pub(super) struct ByName {
    certificates: Vec<(Vec<Pattern>, Choice)>,
}

/// A certificate that callers may be shown.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub key: Arc<CertifiedKey>,
    pub staple: Option<Staple>,
}

/// A DNS name, or `*.` and the rest of one: for one label in its place (RFC 6125, section 6.4.3).
#[derive(Debug)]
enum Pattern {
    Exact(String),
    Wildcard(String),
}

impl ByName {
    /// The first of `certificates` is shown to whoever asks for no name, or for one that none has.
    pub fn new(certificates: Vec<(Vec<String>, Choice)>) -> Self {
        let pattern = |name: String| match name.strip_prefix("*.") {
            Some(rest) => Pattern::Wildcard(rest.to_ascii_lowercase()),
            None => Pattern::Exact(name.to_ascii_lowercase()),
        };
        ByName {
            certificates: certificates
                .into_iter()
                .map(|(names, choice)| (names.into_iter().map(pattern).collect(), choice))
                .collect(),
        }
    }

    /// In the order of preference: those for exactly this name, those for it by a wildcard, the others.
    fn find(&self, name: Option<&str>, fits: impl Fn(&CertifiedKey) -> bool) -> Option<&Choice> {
        let rest = name
            .and_then(|name| name.split_once('.'))
            .map(|(_, rest)| rest);
        let exact =
            |pattern: &Pattern| matches!(pattern, Pattern::Exact(one) if Some(&**one) == name);
        let wild =
            |pattern: &Pattern| matches!(pattern, Pattern::Wildcard(one) if Some(&**one) == rest);
        let fits = |choice: &Choice| fits(&choice.key);
        let of = |is: &dyn Fn(&Pattern) -> bool| {
            self.certificates
                .iter()
                .find(|(patterns, choice)| patterns.iter().any(is) && fits(choice))
        };
        of(&exact)
            .or_else(|| of(&wild))
            .or_else(|| self.certificates.iter().find(|(_, choice)| fits(choice)))
            // It fails then, and the caller learns why.
            .or(self.certificates.first())
            .map(|(_, choice)| choice)
    }
}

impl Choice {
    fn now(&self) -> &Arc<CertifiedKey> {
        let stapled = self.staple.as_ref();
        let stapled = stapled.and_then(|staple| staple.at(SystemTime::now()));
        stapled.unwrap_or(&self.key)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let [(_, only)] = &self.certificates[..] {
            return Some(only.now().clone());
        }
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let offered = hello.signature_schemes();
        let choice = self.find(name.as_deref(), |key| {
            key.key.choose_scheme(offered).is_some()
        })?;
        Some(choice.now().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

    fn certified(name: &str) -> (Vec<String>, Choice) {
        let made = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let der = params.self_signed(&made).unwrap().der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.serialize_der()));
        let key = super::super::provider()
            .key_provider
            .load_private_key(key)
            .unwrap();
        (
            vec![name.to_owned()],
            Choice {
                key: Arc::new(CertifiedKey::new(vec![der], key)),
                staple: None,
            },
        )
    }

    #[test]
    fn an_exact_name_goes_before_a_wildcard_before_the_first() {
        let made = ["first.example", "*.a.example", "B.a.example"].map(certified);
        let keys = made.clone().map(|(_, choice)| choice.key);
        let resolver = ByName::new(made.into());
        for (name, expected) in [
            (None, 0),
            (Some("other.example"), 0),
            (Some("b.a.example"), 2),
            (Some("c.a.example"), 1),
            (Some("d.c.a.example"), 0),
            (Some("a.example"), 0),
        ] {
            let found = resolver.find(name, |_| true).unwrap();
            assert!(Arc::ptr_eq(&found.key, &keys[expected]), "{name:?}");
        }
        let fits_last = |key: &CertifiedKey| key.cert == keys[2].cert;
        let found = resolver.find(None, fits_last).unwrap();
        assert!(Arc::ptr_eq(&found.key, &keys[2]));
    }
}
