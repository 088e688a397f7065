//! Whether a chain leads to a CA, as far as that can be told on this side: those who are shown it may know others.

use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};
use x509_cert::Certificate as Parsed;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::AuthorityInfoAccessSyntax;

use super::certificate::Certificate;
use super::pair::{Pair, Usage};
use super::path::PathVerifier;
use super::trust;
use crate::value::FilePath;
use crate::value::problem::Problems;

/// Warns of a chain that nobody could follow to a CA. `known` are the CAs that the same block names.
pub(super) fn judge(
    pair: &Pair,
    usage: Usage,
    known: &[CertificateDer<'static>],
    file: &FilePath,
    at: &[&str],
    problems: &mut Problems,
) {
    let (Some(leaf), Some(last)) = (pair.chain.first(), pair.chain.last()) else {
        return;
    };
    if breaks_off(&pair.chain, file, at, problems) || is_its_own_issuer(leaf) {
        return;
    }
    // What is out of its time was told, and those who know another way to a CA pass it over.
    let now = SystemTime::now();
    if pair.chain.iter().any(|one| !one.is_valid_at(now)) {
        return;
    }
    let leads_to = |anchors: &[CertificateDer<'static>]| leads_to(&pair.key.cert, usage, anchors);
    let Some(last_der) = pair.key.cert.last() else {
        return;
    };
    let issuers = &pair.chain[1..];
    let is_unfit = |issuer: &Certificate| !issuer.is_ca && !is_its_own_issuer(issuer);
    let holds = || leads_to(std::slice::from_ref(last_der));
    if !issuers.is_empty() && (issuers.iter().any(is_unfit) || !holds()) {
        problems.warning(
            at,
            format!("the chain in `{file}` does not hold: one of its certificates is no CA, or did not sign the one before it"),
        ).once();
        return;
    }
    // Who is shown a chain of a private CA has it as a trust anchor: that this side does not know it is no fault.
    let is_to_lead_somewhere = !known.is_empty() || says_where_its_issuer_is(&pair.key.cert[0]);
    if is_its_own_issuer(last) || !is_to_lead_somewhere || leads_to(known) {
        return;
    }
    if !leads_to(&trust::system_certificates()) {
        problems
            .warning(
                at,
                format!(
                    "the chain in `{file}` leads to no CA that is known here: `{}`, which issued its last certificate, is none",
                    last.issuer
                ),
            )
            .once()
            .help("put the certificates of its issuers behind it");
    }
}

/// Whether a certificate of the chain was not issued by the one behind it.
fn breaks_off(
    chain: &[Certificate],
    file: &FilePath,
    at: &[&str],
    problems: &mut Problems,
) -> bool {
    for pair in chain.windows(2) {
        let [below, issuer] = pair else { continue };
        if below.issuer != issuer.subject {
            problems
                .warning(
                    at,
                    format!(
                        "the chain in `{file}` breaks off: `{}` was issued by `{}`, and `{}` follows",
                        below.subject, below.issuer, issuer.subject
                    ),
                )
                .once();
            return true;
        }
    }
    false
}

fn is_its_own_issuer(certificate: &Certificate) -> bool {
    certificate.subject == certificate.issuer
}

/// Public CAs always say where the certificate of an issuer can be had (CA/Browser Forum, Baseline Requirements,
/// section 7.1.2.7.7).
fn says_where_its_issuer_is(leaf: &CertificateDer<'_>) -> bool {
    let parsed = Parsed::from_der(leaf).ok();
    let access = parsed.and_then(|leaf| {
        let access = leaf.tbs_certificate().get_extension();
        access.ok().flatten()
    });
    access.is_some_and(|(_, access): (bool, AuthorityInfoAccessSyntax)| !access.0.is_empty())
}

/// Whether a path from the leaf to one of `anchors` holds now.
fn leads_to(
    chain: &[CertificateDer<'static>],
    usage: Usage,
    anchors: &[CertificateDer<'static>],
) -> bool {
    let [leaf, issuers @ ..] = chain else {
        return false;
    };
    let Ok(leaf) = EndEntityCert::try_from(leaf) else {
        return false;
    };
    let key_usage = match usage {
        Usage::ServerAuth => KeyUsage::server_auth(),
        Usage::ClientAuth => KeyUsage::client_auth(),
    };
    let paths = PathVerifier::of_anchors(anchors);
    paths
        .verify(&leaf, issuers, UnixTime::now(), key_usage)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::pair::tests::of;
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair,
    };

    struct Made {
        der: CertificateDer<'static>,
        key: KeyPair,
        params: CertificateParams,
    }

    fn made(name: &str, is_ca: bool, by: Option<&Made>, more: &[CustomExtension]) -> Made {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.custom_extensions = more.to_vec();
        if is_ca {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        let der = match by {
            None => params.self_signed(&key).unwrap(),
            Some(by) => {
                let issuer = Issuer::from_params(&by.params, &by.key);
                params.signed_by(&key, &issuer).unwrap()
            }
        };
        let der = der.der().clone();
        Made { der, key, params }
    }

    /// Where the certificate of the issuer is: at `http://x`.
    fn access() -> CustomExtension {
        let value = [
            &[
                0x30, 0x16, 0x30, 0x14, 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, 8,
            ][..],
            b"http://x",
        ]
        .concat();
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], value)
    }

    fn said(chain: &[&Made], known: &[&Made]) -> String {
        let der = |made: &&Made| made.der.clone();
        let pair = of(chain.iter().map(der).collect(), &chain[0].key);
        let known: Vec<_> = known.iter().map(der).collect();
        let mut problems = Problems::default();
        let file = std::path::PathBuf::from("x.pem").into();
        judge(
            &pair,
            Usage::ServerAuth,
            &known,
            &file,
            &["cert"],
            &mut problems,
        );
        let messages = problems.into_vec().into_iter().map(|p| p.message);
        messages.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_chain_must_hold_and_lead_somewhere() {
        let root = made("root", true, None, &[]);
        let below = made("below", true, Some(&root), &[]);
        let leaf = made("leaf", false, Some(&below), &[]);
        let other = made("other", true, None, &[]);
        for (chain, known) in [
            (&[&leaf][..], &[][..]),
            (&[&leaf, &below], &[]),
            (&[&leaf, &below, &root], &[]),
            (&[&leaf, &below, &root], &[&other]),
            (&[&leaf, &below], &[&other, &root]),
            (&[&leaf], &[&below]),
            (&[&other], &[&root]),
        ] {
            assert_eq!(said(chain, known), "");
        }
        assert!(
            said(&[&leaf, &root], &[]).contains("breaks off: `CN=leaf` was issued by `CN=below`")
        );
        let namesake = made("below", true, Some(&root), &[]);
        assert!(said(&[&leaf, &namesake], &[]).contains("does not hold"));
        let no_ca = made("below", false, Some(&root), &[]);
        let of_no_ca = made("leaf", false, Some(&no_ca), &[]);
        assert!(said(&[&of_no_ca, &no_ca, &root], &[&root]).contains("does not hold"));
        assert!(said(&[&of_no_ca, &no_ca], &[]).contains("does not hold"));
        assert!(said(&[&leaf], &[&root]).contains("leads to no CA that is known here: `CN=below`"));
        let public = made("leaf", false, Some(&below), &[access()]);
        assert!(said(&[&public], &[]).contains("leads to no CA"));
    }
}
