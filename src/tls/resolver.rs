//! Which certificate a caller is shown.

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Certificates by the names that they are for.
#[derive(Debug)]
pub(super) struct ByName {
    certificates: Vec<(Vec<Pattern>, Arc<CertifiedKey>)>,
}

/// A DNS name, or `*.` and the rest of one: for one label in its place (RFC 6125, section 6.4.3).
#[derive(Debug)]
enum Pattern {
    Exact(String),
    Wildcard(String),
}

impl ByName {
    /// The first of `certificates` is shown to whoever asks for no name, or for one that none has.
    pub fn new(certificates: Vec<(Vec<String>, Arc<CertifiedKey>)>) -> Self {
        let pattern = |name: String| match name.strip_prefix("*.") {
            Some(rest) => Pattern::Wildcard(rest.to_ascii_lowercase()),
            None => Pattern::Exact(name.to_ascii_lowercase()),
        };
        ByName {
            certificates: certificates
                .into_iter()
                .map(|(names, key)| (names.into_iter().map(pattern).collect(), key))
                .collect(),
        }
    }

    /// In the order of preference: those for exactly this name, those for it by a wildcard, the others.
    fn find(
        &self,
        name: Option<&str>,
        fits: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<&Arc<CertifiedKey>> {
        let rest = name
            .and_then(|name| name.split_once('.'))
            .map(|(_, rest)| rest);
        let exact =
            |pattern: &Pattern| matches!(pattern, Pattern::Exact(one) if Some(&**one) == name);
        let wild =
            |pattern: &Pattern| matches!(pattern, Pattern::Wildcard(one) if Some(&**one) == rest);
        let of = |is: &dyn Fn(&Pattern) -> bool| {
            self.certificates
                .iter()
                .find(|(patterns, key)| patterns.iter().any(is) && fits(key))
        };
        of(&exact)
            .or_else(|| of(&wild))
            .or_else(|| self.certificates.iter().find(|(_, key)| fits(key)))
            // It fails then, and the caller learns why.
            .or(self.certificates.first())
            .map(|(_, key)| key)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let [(_, only)] = &self.certificates[..] {
            return Some(only.clone());
        }
        let name = hello.server_name().map(str::to_ascii_lowercase);
        let offered = hello.signature_schemes();
        self.find(name.as_deref(), |key| {
            key.key.choose_scheme(offered).is_some()
        })
        .cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

    fn certified(name: &str) -> (Vec<String>, Arc<CertifiedKey>) {
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
            Arc::new(CertifiedKey::new(vec![der], key)),
        )
    }

    #[test]
    fn an_exact_name_goes_before_a_wildcard_before_the_first() {
        let made = ["first.example", "*.a.example", "B.a.example"].map(certified);
        let keys = made.clone().map(|(_, key)| key);
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
            assert!(Arc::ptr_eq(found, &keys[expected]), "{name:?}");
        }
        let fits_last = |key: &CertifiedKey| key.cert == keys[2].cert;
        assert!(Arc::ptr_eq(
            resolver.find(None, fits_last).unwrap(),
            &keys[2]
        ));
    }
}
