//! The name that a caller asks for at the head of its TLS, read without taking part in it (RFC 8446, section 4.1.2, and
//! RFC 6066, section 3).
//!
//! Not rustls's `Acceptor`: it refuses what it would not speak itself, such as TLS 1.1 or a hello without signature
//! algorithms, and whoever passes bytes on has no say in that.

/// The longest hello that is read, its records included. Those with keys of post-quantum cryptography have some 1,800
/// bytes.
pub const MOST: usize = 16 << 10;

/// What the first bytes of a connection tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Too few to tell.
    Incomplete,
    /// TLS for a name, in lower case without a final dot.
    Named(String),
    /// TLS that asks for no name, or hides it in what only its server can read.
    Nameless,
    /// No TLS, or a hello that is broken or longer than [`MOST`].
    Other,
}

const HANDSHAKE: u8 = 22;
/// Of SSL 3.0 and all versions of TLS.
const MAJOR_VERSION: u8 = 3;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;
/// What one record holds at most (RFC 8446, section 5.1).
const RECORD: usize = 1 << 14;
/// Names end there (RFC 1035, section 2.3.4).
const NAME: usize = 253;

impl Hello {
    /// Reads what has come so far. A hello may lie in several records, and each in several pieces.
    pub fn read(bytes: &[u8]) -> Hello {
        match message(bytes) {
            Some(Some(message)) => match name(&message) {
                Some(Some(name)) => Hello::Named(name),
                Some(None) => Hello::Nameless,
                None => Hello::Other,
            },
            Some(None) if bytes.len() < MOST => Hello::Incomplete,
            _ => Hello::Other,
        }
    }
}

/// The body of the hello, out of its records: Some(None) where more must come, None where it is none.
fn message(bytes: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut fragments = Vec::new();
    let mut gathered = 0;
    let mut head = [0; 4];
    let mut rest = bytes;
    loop {
        let record = Record::first_of(rest)?;
        for (place, byte) in head.iter_mut().skip(gathered).zip(record.content) {
            *place = *byte;
        }
        fragments.push(record.content);
        gathered += record.content.len();
        let [kind, length @ ..] = head;
        if gathered > 0 && kind != CLIENT_HELLO {
            return None;
        }
        let length = length
            .iter()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        let whole = head.len() + length;
        if gathered >= head.len() && whole > MOST {
            return None;
        }
        if gathered >= head.len() && gathered >= whole {
            let mut message = fragments.concat();
            message.truncate(whole);
            return Some(Some(message.split_off(head.len())));
        }
        match record.behind {
            Some(behind) => rest = behind,
            None => return Some(None),
        }
    }
}

/// A record, as far as it has come.
struct Record<'a> {
    content: &'a [u8],
    /// What lies behind it, if it is whole.
    behind: Option<&'a [u8]>,
}

impl<'a> Record<'a> {
    /// None where it is none of a handshake.
    fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let other = |at: usize, wanted: u8| bytes.get(at).is_some_and(|byte| *byte != wanted);
        if other(0, HANDSHAKE) || other(1, MAJOR_VERSION) {
            return None;
        }
        let Some((head, behind)) = bytes.split_first_chunk::<5>() else {
            return Some(Record {
                content: &[],
                behind: None,
            });
        };
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        if length == 0 || length > RECORD {
            return None;
        }
        let (content, behind) = match behind.split_at_checked(length) {
            Some((content, behind)) => (content, Some(behind)),
            None => (behind, None),
        };
        Some(Record { content, behind })
    }
}

/// The name in the body of a hello: Some(None) where it has none, None where it is broken.
fn name(hello: &[u8]) -> Option<Option<String>> {
    let mut hello = Reader(hello);
    // The version and the random value.
    hello.take(2 + 32)?;
    let session = hello.u8()?;
    hello.take(session.into())?;
    let suites = hello.u16()?;
    hello.take(suites.into())?;
    let compressions = hello.u8()?;
    hello.take(compressions.into())?;
    if hello.0.is_empty() {
        return Some(None);
    }
    let length = hello.u16()?;
    let mut extensions = Reader(hello.take(length.into())?);
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let length = extensions.u16()?;
        let content = extensions.take(length.into())?;
        if kind == SERVER_NAME {
            return host_name(content);
        }
    }
    Some(None)
}

fn host_name(extension: &[u8]) -> Option<Option<String>> {
    let mut extension = Reader(extension);
    let length = extension.u16()?;
    let mut names = Reader(extension.take(length.into())?);
    while !names.0.is_empty() {
        let kind = names.u8()?;
        let length = names.u16()?;
        let name = names.take(length.into())?;
        if kind == HOST_NAME {
            return read_name(name).map(Some);
        }
    }
    Some(None)
}

fn read_name(name: &[u8]) -> Option<String> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    let good = (1..=NAME).contains(&name.len()) && name.iter().all(inner);
    let name = good.then(|| name.to_ascii_lowercase())?;
    String::from_utf8(name).ok()
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn u16(&mut self) -> Option<u16> {
        let taken = self.take(2)?;
        Some(u16::from_be_bytes([taken[0], taken[1]]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A hello for `name`, as old clients write it, in records of `size` bytes.
    fn hello(name: Option<&str>, size: usize) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0, 47, 1, 0]);
        let mut extensions = vec![0, 23, 0, 0];
        if let Some(name) = name {
            let length = name.len() as u16;
            extensions.extend([0, 0]);
            extensions.extend((length + 5).to_be_bytes());
            extensions.extend((length + 3).to_be_bytes());
            extensions.push(0);
            extensions.extend(length.to_be_bytes());
            extensions.extend(name.as_bytes());
        }
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut message = vec![1, 0];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(body);
        let records = message.chunks(size).flat_map(|part| {
            let length = (part.len() as u16).to_be_bytes();
            [&[22, 3, 1][..], &length, part].concat()
        });
        records.collect()
    }

    fn named(name: &str) -> Hello {
        Hello::Named(name.to_owned())
    }

    #[test]
    fn a_name_is_read_from_any_records_and_pieces() {
        for size in [1, 3, 5, 60, 1000] {
            let bytes = hello(Some("DB.Example."), size);
            for length in 0..bytes.len() {
                let read = Hello::read(&bytes[..length]);
                assert_eq!(read, Hello::Incomplete, "{length} of {size}");
            }
            assert_eq!(Hello::read(&bytes), named("db.example"), "{size}");
            let more = [&bytes[..], b"\x14\x03\x03\x00\x01\x01"].concat();
            assert_eq!(Hello::read(&more), named("db.example"));
        }
    }

    #[test]
    fn what_asks_for_no_name_is_told_from_what_is_no_tls() {
        assert_eq!(Hello::read(&hello(None, 1000)), Hello::Nameless);
        for other in [
            &b"SSH-2.0-x\r\n"[..],
            b"\x16\x02\x00\x00\x01\x01",
            b"\x16\x03\x01\x00\x00",
            b"\x16\x03\x01\x50\x00\x01",
            b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
            b"\x16\x03\x01\x00\x04\x01\x00\x00\x00",
            b"\x16\x03\x01\x00\x04\x01\xff\xff\xff",
            b"\x15\x03\x01\x00\x02\x02\x28",
            b"\x80\x2e\x01\x03\x01",
        ] {
            assert_eq!(Hello::read(other), Hello::Other, "{other:?}");
        }
        for name in ["", ".", "a b", "a/b", "\u{e4}.example", &"a".repeat(254)] {
            assert_eq!(
                Hello::read(&hello(Some(name), 9000)),
                Hello::Other,
                "{name}"
            );
        }
    }

    #[test]
    fn what_never_comes_to_an_end_is_given_up() {
        let endless = [
            &b"\x16\x03\x01\x00\x01\x01"[..],
            &b"\x16\x03\x01\x00\x01\x00".repeat(3000),
        ];
        assert_eq!(Hello::read(&endless.concat()), Hello::Other);
        let long = [&b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc"[..], &[0; MOST]].concat();
        assert_eq!(Hello::read(&long[..MOST - 1]), Hello::Incomplete);
        assert_eq!(Hello::read(&long[..MOST]), Hello::Other);
    }

    #[test]
    fn a_hello_of_rustls_is_read() {
        let config = rustls::ClientConfig::builder_with_provider(crate::tls::provider().clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let name = "db.internal.example".try_into().unwrap();
        let mut client = rustls::ClientConnection::new(config.into(), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        assert_eq!(Hello::read(&bytes), named("db.internal.example"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..120) {
            Hello::read(&bytes);
            let mut changed = hello(Some("a.example"), 40);
            for (place, byte) in changed.iter_mut().skip(at).zip(bytes) {
                *place = byte;
            }
            Hello::read(&changed);
        }
    }
}
