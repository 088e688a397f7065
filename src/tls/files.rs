//! Certificates, keys and revocation lists from PEM files. The message of every error reads well after the name of the
//! key.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::pem::{self, Section};
use crate::value::regular::LARGEST;
use crate::value::{FilePath, Wrong};

const CERTIFICATE: &str = "CERTIFICATE";
const LIST: &str = "X509 CRL";

/// Every certificate of a file, at least one.
pub(super) fn certificates(file: &FilePath) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    // The second name is what openssl wrote long ago, and reads still.
    all(file, "certificate", CERTIFICATE, |label| match label {
        CERTIFICATE | "X509 CERTIFICATE" => Use::Take,
        "TRUSTED CERTIFICATE" => Use::Refuse(
            "which only openssl reads",
            Some("write it anew with `openssl x509 -in OLD -out NEW`"),
        ),
        "PKCS7" | "CMS" => Use::Refuse(
            "which holds certificates in another form",
            Some("`openssl pkcs7 -in OLD -print_certs -out NEW` writes them in this one"),
        ),
        label if label.contains(CERTIFICATE) && !label.contains("REQUEST") => {
            Use::Refuse("which is no kind of certificate that is read here", None)
        }
        _ => Use::Pass,
    })
}

/// Every revocation list of a file, at least one.
pub(super) fn revocation_lists(
    file: &FilePath,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Wrong> {
    all(file, "revocation list", LIST, |label| match label {
        LIST => Use::Take,
        label if label.contains("CRL") => Use::Refuse(
            "which is no name of a revocation list: that is `X509 CRL`",
            None,
        ),
        _ => Use::Pass,
    })
}

/// The private key of a file, the first where it has several.
pub(super) fn key(file: &FilePath) -> Result<PrivateKeyDer<'static>, Wrong> {
    let text = read(file)?;
    let sections = sections(file, &text)?;
    let is_key = |section: &&Section| section.label.ends_with("PRIVATE KEY");
    let Some(section) = sections.iter().find(is_key) else {
        return Err(nothing(file, "private key", &sections));
    };
    let (label, line) = (&*section.label, section.line);
    if section.is_encrypted() {
        return Err(Wrong::new(format!("the key in `{file}` is encrypted"))
            .help("write it without a passphrase, readable for nobody else"));
    }
    match label {
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
            section.decode(label).map_err(|wrong| about(file, wrong))
        }
        "OPENSSH PRIVATE KEY" => Err(Wrong::new(format!(
            "`{file}` has in line {line} an `OPENSSH PRIVATE KEY`, which is for SSH"
        ))
        .help("`ssh-keygen -p -m PKCS8 -f FILE` makes it one for TLS")),
        _ => Err(Wrong::new(format!(
            "`{file}` has in line {line} a `{label}`, which is of no kind that serves, which are ECDSA over P-256, P-384 and P-521, Ed25519, and RSA from 2048 bits"
        ))),
    }
}

/// A file as it is, such as an OCSP response.
pub(super) fn read(file: &FilePath) -> Result<Vec<u8>, Wrong> {
    file.read(LARGEST)
}

/// What to do with a section.
enum Use {
    Take,
    /// It holds something else, which may well stand in the same file.
    Pass,
    /// It holds what is wanted in a form that is not read: why, and how to mend it.
    Refuse(&'static str, Option<&'static str>),
}

/// Everything that is to be taken from a file, as sections `label`; at least one.
fn all<T: PemObject>(
    file: &FilePath,
    what: &str,
    label: &str,
    decide: impl Fn(&str) -> Use,
) -> Result<Vec<T>, Wrong> {
    let text = read(file)?;
    let sections = sections(file, &text)?;
    let mut found = Vec::new();
    for section in &sections {
        match decide(&section.label) {
            Use::Take => found.push(section.decode(label).map_err(|wrong| about(file, wrong))?),
            Use::Pass => {}
            Use::Refuse(why, help) => {
                let Section { label, line, .. } = section;
                let message = format!("`{file}` has in line {line} a `{label}`, {why}");
                return Err(Wrong {
                    help: help.map(str::to_owned),
                    ..Wrong::new(message)
                });
            }
        }
    }
    if found.is_empty() {
        Err(nothing(file, what, &sections))
    } else {
        Ok(found)
    }
}

fn sections(file: &FilePath, text: &[u8]) -> Result<Vec<Section>, Wrong> {
    pem::sections(text).map_err(|wrong| about(file, wrong))
}

fn about(file: &FilePath, wrong: Wrong) -> Wrong {
    Wrong {
        message: format!("`{file}` {}", wrong.message),
        ..wrong
    }
}

fn nothing(file: &FilePath, what: &str, sections: &[Section]) -> Wrong {
    Wrong::new(match sections.first() {
        Some(first) => format!("`{file}` holds no {what}, but a `{}`", first.label),
        None => format!("`{file}` holds no {what} in PEM form"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn file(text: &str) -> (tempfile::TempDir, FilePath) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pem");
        fs::write(&path, text).unwrap();
        (dir, path.into())
    }

    fn section(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn what_is_no_pem_is_told() {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
        for (text, part) in [
            ("", "holds no certificate in PEM form"),
            ("0\u{1}binary", "holds no certificate in PEM form"),
            (&format!("{BEGIN}AAAA"), "cut off"),
            (
                &format!("\n{}", section(CERTIFICATE, "A!A")),
                "has a section in line 2 that is not base64",
            ),
            (
                &section("PRIVATE KEY", "AAAA"),
                "holds no certificate, but a `PRIVATE KEY`",
            ),
        ] {
            let (_keep, file) = file(text);
            let error = certificates(&file).unwrap_err().message;
            assert!(error.contains(part), "{error}");
        }
        let missing = FilePath::from(std::path::PathBuf::from("/nowhere/x.pem"));
        assert!(
            key(&missing)
                .unwrap_err()
                .message
                .contains("cannot read `/nowhere/x.pem`")
        );
    }

    #[test]
    fn what_is_wanted_is_taken_or_refused_and_never_passed_over() {
        let good = section(CERTIFICATE, "AAAA");
        for (text, count) in [
            (format!("{good}\n{}", section("DH PARAMETERS", "AAAA")), 1),
            (format!("{good}{}", section("X509 CERTIFICATE", "AAAA")), 2),
            (format!("\u{feff}{good}{good}"), 2),
        ] {
            let (_keep, file) = file(&text);
            assert_eq!(certificates(&file).unwrap().len(), count, "{text}");
        }
        for label in ["TRUSTED CERTIFICATE", "PKCS7", "ATTRIBUTE CERTIFICATE"] {
            let (_keep, file) = file(&format!("{good}{}", section(label, "AAAA")));
            let error = certificates(&file).unwrap_err().message;
            assert!(error.contains(&format!("line 4 a `{label}`")), "{error}");
        }
        let (_keep, lists) = file(&section(LIST, "AAAA").repeat(2));
        assert_eq!(revocation_lists(&lists).unwrap().len(), 2);
        let (_keep, odd) = file(&(section(LIST, "AAAA") + &section("CRL", "AAAA")));
        assert!(
            revocation_lists(&odd)
                .unwrap_err()
                .message
                .contains("line 4 a `CRL`")
        );
    }

    #[test]
    fn a_key_that_cannot_be_read_is_told_for_what_it_is() {
        let old = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA";
        for (text, says) in [
            (section("ENCRYPTED PRIVATE KEY", "AAAA"), "is encrypted"),
            (section("RSA PRIVATE KEY", old), "is encrypted"),
            (section("EC PRIVATE KEY", old), "is encrypted"),
            (section("OPENSSH PRIVATE KEY", "AAAA"), "for SSH"),
            (section("DSA PRIVATE KEY", "AAAA"), "no kind that serves"),
            (section("PRIVATE KEY", "A!"), "is not base64"),
            (
                section(CERTIFICATE, "AAAA"),
                "holds no private key, but a `CERTIFICATE`",
            ),
        ] {
            let (_keep, file) = file(&text);
            let error = key(&file).unwrap_err().message;
            assert!(error.contains(says), "{says}: {error}");
        }
        let parameters = section("EC PARAMETERS", "AAAA");
        let (_keep, file) = file(&(parameters + &section("EC PRIVATE KEY", "AAAA")));
        assert!(key(&file).is_ok());
    }
}
