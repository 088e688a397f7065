//! The sections of a PEM file (RFC 7468). None is passed over in silence: one CA or revocation list that is lost changes
//! who may call, so whatever looks like the boundary of a section and is none is told, with its line.

use rustls::pki_types::pem::{Error, PemObject};

use crate::value::Wrong;

/// What stands between a BEGIN and its END.
pub(super) struct Section {
    /// Such as `CERTIFICATE`.
    pub label: String,
    /// Of its BEGIN, counted from 1.
    pub line: usize,
    body: Vec<u8>,
    /// It has headers as the forms before RFC 7468 had, which encrypt it.
    is_encrypted: bool,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// Editors of some systems put it before the text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Every section of a file. What stands between them is for people.
///
/// # Errors
/// A message that reads well behind the name of the file.
pub(super) fn sections(text: &[u8]) -> Result<Vec<Section>, Wrong> {
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err(Wrong::new("is text in UTF-16").help("write it in UTF-8"));
    }
    let mut found = Vec::new();
    let mut open: Option<Section> = None;
    for (number, line) in lines(text) {
        let boundary = boundary(line).map_err(|wrong| Wrong {
            message: format!("has in line {number} {}", wrong.message),
            ..wrong
        })?;
        match (boundary, open.take()) {
            (Some(Boundary::Begin(label)), None) => open = Some(Section::new(label, number)),
            (Some(Boundary::End(label)), Some(section)) if section.label == label => {
                found.push(section);
            }
            (Some(Boundary::Begin(_)), Some(section)) => {
                return Err(section.is_cut_off(&format!("another begins in line {number}")));
            }
            (Some(Boundary::End(label)), Some(section)) => {
                let other = format!("line {number} ends a section `{label}`");
                return Err(section.is_cut_off(&other));
            }
            (Some(Boundary::End(label)), None) => {
                return Err(Wrong::new(format!(
                    "has in line {number} the end of a section `{label}` that has not begun"
                )));
            }
            (None, Some(mut section)) => {
                section.push(line);
                open = Some(section);
            }
            (None, None) => {}
        }
    }
    match open {
        Some(section) => Err(section.is_cut_off("it has no end")),
        None => Ok(found),
    }
}

impl Section {
    fn new(label: String, line: usize) -> Self {
        Section {
            label,
            line,
            body: Vec::new(),
            is_encrypted: false,
        }
    }

    fn push(&mut self, line: &[u8]) {
        // RFC 1421, section 4.6.1.1: `Proc-Type: 4,ENCRYPTED`.
        self.is_encrypted |= line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED");
        self.body.extend_from_slice(line);
        self.body.push(b'\n');
    }

    /// Whether it can be read with a passphrase only.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted || self.label == "ENCRYPTED PRIVATE KEY"
    }

    /// What it holds, taken as a section `label`.
    pub fn decode<T: PemObject>(&self, label: &str) -> Result<T, Wrong> {
        let begin = format!("-----BEGIN {label}-----\n");
        let end = format!("-----END {label}-----\n");
        let alone = [begin.as_bytes(), &self.body, end.as_bytes()].concat();
        T::from_pem_slice(&alone).map_err(|error| {
            let why = match error {
                Error::Base64Decode(_) => "is not base64".to_owned(),
                error => format!("cannot be read: {error}"),
            };
            Wrong::new(format!("has a section in line {} that {why}", self.line))
        })
    }

    fn is_cut_off(&self, why: &str) -> Wrong {
        let Section { label, line, .. } = self;
        Wrong::new(format!(
            "is cut off in the middle of a section: `{label}` begins in line {line}, and {why}"
        ))
    }
}

enum Boundary {
    Begin(String),
    End(String),
}

/// The boundary that a line is. They are lines of their own (RFC 7468, section 3).
fn boundary(line: &[u8]) -> Result<Option<Boundary>, Wrong> {
    let label = |begin| {
        let label = line.strip_prefix(begin)?.strip_suffix(DASHES)?;
        let is_label = |b: &u8| b.is_ascii_graphic() && *b != b'-' || *b == b' ';
        let label = label.iter().all(is_label).then_some(label)?;
        String::from_utf8(label.to_vec()).ok()
    };
    if let Some(label) = label(BEGIN) {
        return Ok(Some(Boundary::Begin(label)));
    }
    if let Some(label) = label(END) {
        return Ok(Some(Boundary::End(label)));
    }
    match (looks_like(line, b"BEGIN "), looks_like(line, b"END ")) {
        (true, true) => {
            Err(Wrong::new("an END and a BEGIN together").help("put a line break between them"))
        }
        (true, false) => {
            Err("a BEGIN that is not `-----BEGIN NAME-----` on a line of its own".into())
        }
        (false, true) => Err("an END that is not `-----END NAME-----` on a line of its own".into()),
        (false, false) => Ok(None),
    }
}

/// Whether `word` stands behind a dash, of whatever kind a text program has made it.
fn looks_like(line: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find_iter(line, word)
        .filter_map(|at| line.get(at.checked_sub(1)?))
        .any(|before| *before == b'-' || !before.is_ascii())
}

/// Lines with their numbers, without what no eye sees at their ends.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = text.split(|b| *b == b'\n').enumerate();
    let lines = numbered.flat_map(|(index, line)| {
        line.split(|b| *b == b'\r')
            .map(move |part| (index + 1, part))
    });
    lines.map(|(number, line)| {
        let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        (number, line.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustls::pki_types::CertificateDer;

    const A: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";

    fn labels(text: &str) -> Result<Vec<(String, usize)>, Wrong> {
        let found = sections(text.as_bytes())?;
        Ok(found.into_iter().map(|s| (s.label, s.line)).collect())
    }

    #[test]
    fn every_section_is_found_with_its_line() {
        let certificate = |line| ("CERTIFICATE".to_owned(), line);
        for (text, expected) in [
            (String::new(), vec![]),
            ("subject=CN = the END of it\n".to_owned(), vec![]),
            (format!("{A}\n{A}\n"), vec![certificate(1), certificate(4)]),
            (
                format!("\u{feff}{A}\r\nsubject=x\r\n\u{feff}{A}"),
                vec![certificate(1), certificate(5)],
            ),
            (A.replace("-----\n", "-----\t \n"), vec![certificate(1)]),
            (A.replace('\n', "\n    "), vec![certificate(1)]),
            (A.replace('\n', "\r\n"), vec![certificate(1)]),
            (A.replace('\n', "\r"), vec![certificate(1)]),
        ] {
            assert_eq!(labels(&text).unwrap(), expected, "{text}");
            for section in sections(text.as_bytes()).unwrap() {
                let der: CertificateDer = section.decode("CERTIFICATE").unwrap();
                assert_eq!(&der[..], [0, 0, 0]);
            }
        }
    }

    #[test]
    fn none_is_lost_in_silence() {
        for (text, says) in [
            (format!("{A}{A}\n"), "in line 3 an END and a BEGIN together"),
            (format!("x{A}\n"), "in line 1 a BEGIN that is not"),
            (format!("{A}\u{feff}{A}"), "in line 3 an END and a BEGIN"),
            (
                A.replace("-----B", "----B"),
                "in line 1 a BEGIN that is not",
            ),
            (A.replace("-----B", "—B"), "in line 1 a BEGIN that is not"),
            (
                A.replace("E-----\nA", "E----\nA"),
                "in line 1 a BEGIN that is not",
            ),
            (
                A.replace("-----E", "x-----E"),
                "in line 3 an END that is not",
            ),
            (
                format!("{A}\n-----END CERTIFICATE-----"),
                "in line 4 the end of",
            ),
            (
                A[..A.len() - 25].to_owned(),
                "`CERTIFICATE` begins in line 1, and it has no end",
            ),
            (format!("{}{A}", &A[..33]), "another begins in line 3"),
            (
                A.replace("END C", "END X"),
                "line 3 ends a section `XERTIFICATE`",
            ),
        ] {
            let said = labels(&text).expect_err(&text).message;
            assert!(said.contains(says), "{says}: {said}: {text}");
        }
        assert!(sections(b"\xff\xfe-\0").is_err_and(|why| why.message.contains("UTF-16")));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(
            parts in prop::collection::vec(
                prop_oneof![
                    Just(b"-----BEGIN X-----".to_vec()), Just(b"-----END X-----".to_vec()),
                    Just(b"\n".to_vec()), prop::collection::vec(any::<u8>(), 0..9),
                ],
                0..9,
            )
        ) {
            for section in sections(&parts.concat()).unwrap_or_default() {
                let _ = section.decode::<CertificateDer>("CERTIFICATE");
            }
        }
    }
}
