//! Certificates, keys and revocation lists from PEM files. Every error is a sentence that reads well after the
//! name of the key.

use std::fs;

use rustls::pki_types::pem::{Error, PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::value::FilePath;

/// Every certificate of a file, at least one.
pub(super) fn certificates(file: &FilePath) -> Result<Vec<CertificateDer<'static>>, String> {
    all(file, "certificate")
}

/// Every revocation list of a file, at least one.
pub(super) fn revocation_lists(
    file: &FilePath,
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    all(file, "revocation list")
}

/// The private key of a file.
pub(super) fn key(file: &FilePath) -> Result<PrivateKeyDer<'static>, String> {
    let text = read(file)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(Error::NoItemsFound) if holds(&text, b"BEGIN ENCRYPTED PRIVATE KEY") => Err(format!(
            "the key in `{file}` is encrypted; write it without a passphrase, readable for nobody else"
        )),
        Err(error) => Err(malformed(file, "private key", &text, &error)),
    }
}

/// A file as it is, such as an OCSP response.
pub(super) fn read(file: &FilePath) -> Result<Vec<u8>, String> {
    fs::read(file.path()).map_err(|error| format!("cannot read `{file}`: {error}"))
}

fn all<T: PemObject>(file: &FilePath, what: &str) -> Result<Vec<T>, String> {
    let text = read(file)?;
    let found = T::pem_slice_iter(&text)
        .collect::<Result<Vec<T>, Error>>()
        .map_err(|error| malformed(file, what, &text, &error))?;
    match found.is_empty() {
        true => Err(malformed(file, what, &text, &Error::NoItemsFound)),
        false => Ok(found),
    }
}

fn malformed(file: &FilePath, what: &str, text: &[u8], error: &Error) -> String {
    match error {
        Error::NoItemsFound => {
            let kinds = <(SectionKind, Vec<u8>)>::pem_slice_iter(text)
                .filter_map(Result::ok)
                .map(|(kind, _)| format!("{kind:?}"))
                .collect::<Vec<_>>();
            match kinds.first() {
                Some(first) => format!("`{file}` holds no {what}, but a {first}"),
                None => format!("`{file}` holds no {what} in PEM form"),
            }
        }
        Error::MissingSectionEnd { .. } => {
            format!("`{file}` is cut off in the middle of a section")
        }
        Error::Base64Decode(_) => format!("`{file}` has a section that is not base64"),
        error => format!("`{file}` is not PEM: {error:?}"),
    }
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, FilePath) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pem");
        fs::write(&path, text).unwrap();
        (dir, path.into())
    }

    #[test]
    fn what_is_no_pem_is_told() {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----\n";
        const END: &str = "-----END CERTIFICATE-----\n";
        for (text, part) in [
            ("", "holds no certificate in PEM form"),
            ("0\u{1}binary", "holds no certificate in PEM form"),
            (&format!("{BEGIN}AAAA"), "cut off"),
            (&format!("{BEGIN}A!A\n{END}"), "not base64"),
            (
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "holds no certificate, but a PrivateKey",
            ),
        ] {
            let (_keep, file) = file(text);
            let error = certificates(&file).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let (_keep, certificate) = file(&format!("{BEGIN}AAAA\n{END}\n\n"));
        assert_eq!(certificates(&certificate).unwrap().len(), 1);
        assert!(
            key(&certificate)
                .unwrap_err()
                .contains("no private key, but a Certificate")
        );
        let (_keep, encrypted) = file(
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
        assert!(key(&encrypted).unwrap_err().contains("encrypted"));
        let missing = FilePath::from(std::path::PathBuf::from("/nowhere/x.pem"));
        assert!(
            key(&missing)
                .unwrap_err()
                .contains("cannot read `/nowhere/x.pem`")
        );
    }
}
