//! The greeting of the server, and the proof of who logs in.

use aws_lc_rs::digest;
use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;

use super::error::ServerError;
use super::packet::{Fields, put_bytes};
use super::wire::flags;

const NATIVE: &str = "mysql_native_password";
const SHA2: &str = "caching_sha2_password";
/// The collation `utf8mb4_general_ci`, which both MariaDB and MySQL have.
const COLLATION: u8 = 45;
/// The largest packet that this client takes at all, as it tells the server: rows may be shorter than that.
const LARGEST: u32 = 1 << 30;

/// What the server says first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Greeting {
    pub version: String,
    pub id: u32,
    pub flags: u64,
    scramble: Vec<u8>,
    plugin: String,
}

impl Greeting {
    /// # Errors
    /// Why there is none, for operators.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        if body.first() == Some(&0xff) {
            return Err(ServerError::read(body).told());
        }
        let greeting = Greeting::fields(body);
        let greeting = greeting.ok_or("the server does not speak MariaDB's protocol")?;
        if greeting.flags & flags::NEEDED == flags::NEEDED {
            Ok(greeting)
        } else {
            Err("the server is older than this client knows".to_owned())
        }
    }

    fn fields(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        if fields.u8()? != 10 {
            return None;
        }
        let version = String::from_utf8_lossy(fields.until_nul()).into_owned();
        let id = fields.u32()?;
        let mut scramble = fields.take(8)?.to_vec();
        fields.take(1)?;
        let low = fields.u16()?;
        let _collation = fields.u8()?;
        let _status = fields.u16()?;
        let high = fields.u16()?;
        let length = usize::from(fields.u8()?);
        fields.take(6)?;
        let more = fields.u32()?;
        let mut flags = u64::from(low) | u64::from(high) << 16;
        // MySQL sets the first flag, and has no more of them.
        if flags & 1 == 0 {
            flags |= u64::from(more) << 32;
        }
        let rest = fields.take(length.saturating_sub(8).max(13))?;
        scramble.extend_from_slice(rest.strip_suffix(b"\0").unwrap_or(rest));
        let plugin = String::from_utf8_lossy(fields.until_nul()).into_owned();
        // MariaDB stands behind a number that old replicas want to see.
        let version = version.strip_prefix("5.5.5-").unwrap_or(&version);
        Some(Greeting {
            version: version.to_owned(),
            id,
            flags,
            scramble,
            plugin,
        })
    }
}

/// Who logs in. It has no `Debug`: it holds a password.
pub(super) struct Login<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub database: &'a str,
    pub way: Secrecy,
    /// What the last proof was for.
    pub scramble: Vec<u8>,
}

/// Who else may be on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Nobody: it is encrypted, or a socket of the file system.
    Private,
    /// Nobody but who may read what this machine says to itself.
    Near,
    Open,
}

/// What the server may say when it was told who logs in.
pub(super) enum Next {
    /// That it is who it says it is.
    In,
    /// This is to be said.
    Say(Vec<u8>),
    /// Something else will come.
    Wait,
}

impl Login<'_> {
    /// The flags of the two together.
    pub fn flags(&self, greeting: &Greeting) -> u64 {
        let with = if self.database.is_empty() {
            0
        } else {
            flags::WITH_DATABASE
        };
        greeting.flags & (flags::WANTED | with)
    }

    /// What is said before TLS begins: the beginning of the answer.
    pub fn asks_for_tls(&self, greeting: &Greeting) -> Vec<u8> {
        let mut into = Vec::new();
        begin(self.flags(greeting) | flags::TLS, &mut into);
        into
    }

    /// The answer to the greeting.
    ///
    /// # Errors
    /// Why there is none, for operators.
    pub fn answer(&mut self, greeting: &Greeting, over_tls: bool) -> Result<Vec<u8>, String> {
        let chosen = self.flags(greeting);
        let tls = if over_tls { flags::TLS } else { 0 };
        let mut into = Vec::new();
        begin(chosen | tls, &mut into);
        into.extend_from_slice(self.user.as_bytes());
        into.push(0);
        let plugin = match greeting.plugin.as_str() {
            SHA2 => SHA2,
            _ => NATIVE,
        };
        self.scramble.clone_from(&greeting.scramble);
        let proof = self.proof(plugin)?;
        into.push(u8::try_from(proof.len()).unwrap_or(0));
        into.extend_from_slice(&proof);
        if chosen & flags::WITH_DATABASE != 0 {
            into.extend_from_slice(self.database.as_bytes());
            into.push(0);
        }
        into.extend_from_slice(plugin.as_bytes());
        into.push(0);
        if chosen & flags::ATTRIBUTES != 0 {
            let mut attributes = Vec::new();
            put_bytes(&mut attributes, b"program_name");
            put_bytes(&mut attributes, b"outrigger");
            put_bytes(&mut into, &attributes);
        }
        Ok(into)
    }

    /// What follows from a packet of the server.
    ///
    /// # Errors
    /// Why there is nothing to be said, for operators.
    pub fn next(&mut self, body: &[u8]) -> Result<Next, String> {
        match body.split_first() {
            Some((0x00, _)) => Ok(Next::In),
            Some((0xff, _)) => Err(ServerError::read(body).told()),
            Some((0xfe, rest)) if !rest.is_empty() => {
                let mut fields = Fields(rest);
                let plugin = String::from_utf8_lossy(fields.until_nul()).into_owned();
                self.scramble = fields.0.strip_suffix(b"\0").unwrap_or(fields.0).to_vec();
                Ok(Next::Say(self.proof(&plugin)?))
            }
            // The proof was enough.
            Some((0x01, [0x03])) => Ok(Next::Wait),
            // The server has forgotten the password's digest, and wants the password.
            Some((0x01, [0x04])) if self.way == Secrecy::Near => Ok(Next::Say(vec![0x02])),
            Some((0x01, [0x04])) => Ok(Next::Say(self.clear()?)),
            // Its key, by which nobody can read the password who listens. That it is the server's own is not known.
            Some((0x01, key)) if self.way == Secrecy::Near => {
                let sealed = sealed(self.password, &self.scramble, key);
                sealed
                    .map(Next::Say)
                    .ok_or_else(|| "the server's key cannot be used".to_owned())
            }
            _ => Err("the server asks for something that this client does not know".to_owned()),
        }
    }

    fn proof(&self, plugin: &str) -> Result<Vec<u8>, String> {
        match plugin {
            NATIVE if self.password.is_empty() => Ok(Vec::new()),
            NATIVE => Ok(native(self.password, &self.scramble)),
            SHA2 if self.password.is_empty() => Ok(Vec::new()),
            SHA2 => Ok(sha2(self.password, &self.scramble)),
            "mysql_clear_password" | "sha256_password" => self.clear(),
            // Who is at the other end of a unix socket, the server asks the system.
            "unix_socket" | "auth_socket" => Ok(Vec::new()),
            other => {
                let name: String = other.chars().filter(|c| !c.is_control()).take(64).collect();
                Err(format!(
                    "the server wants a proof by the plugin `{name}`, which is not known here: {NATIVE} and {SHA2} are"
                ))
            }
        }
    }

    /// The password as it is.
    fn clear(&self) -> Result<Vec<u8>, String> {
        if self.way != Secrecy::Open {
            Ok([self.password.as_bytes(), b"\0"].concat())
        } else {
            Err("the server wants the password as it is, over a connection that others can read: TLS is needed".to_owned())
        }
    }
}

fn begin(flags: u64, into: &mut Vec<u8>) {
    let bytes = flags.to_le_bytes();
    into.extend_from_slice(&bytes[..4]);
    into.extend_from_slice(&LARGEST.to_le_bytes());
    into.push(COLLATION);
    into.extend_from_slice(&[0; 19]);
    into.extend_from_slice(&bytes[4..]);
}

/// `SHA1(password) xor SHA1(scramble, SHA1(SHA1(password)))`
fn native(password: &str, scramble: &[u8]) -> Vec<u8> {
    let sha1 = |bytes: &[u8]| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let once = sha1(password.as_bytes());
    let twice = sha1(once.as_ref());
    let mask = sha1(&[scramble, twice.as_ref()].concat());
    masked(once.as_ref(), mask.as_ref())
}

/// `SHA256(password) xor SHA256(SHA256(SHA256(password)), scramble)`
fn sha2(password: &str, scramble: &[u8]) -> Vec<u8> {
    let sha256 = |bytes: &[u8]| digest::digest(&digest::SHA256, bytes);
    let once = sha256(password.as_bytes());
    let twice = sha256(once.as_ref());
    let mask = sha256(&[twice.as_ref(), scramble].concat());
    masked(once.as_ref(), mask.as_ref())
}

/// The password, mixed with the scramble, under a public key in PEM.
fn sealed(password: &str, scramble: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(key).ok()?;
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&key).ok()?).ok()?;
    let clear = [password.as_bytes(), b"\0"].concat();
    let mask: Vec<u8> = scramble.iter().copied().cycle().take(clear.len()).collect();
    let mut sealed = vec![0; key.ciphertext_size()];
    let mixed = masked(&clear, &mask);
    key.encrypt(&OAEP_SHA1_MGF1SHA1, &mixed, &mut sealed, None)
        .ok()?;
    Some(sealed)
}

fn masked(bytes: &[u8], mask: &[u8]) -> Vec<u8> {
    bytes.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(way: Secrecy) -> Login<'static> {
        Login {
            user: "me",
            password: "hush",
            database: "shop",
            way,
            scramble: b"abcdefghijklmnopqrst".to_vec(),
        }
    }

    #[test]
    fn a_greeting_is_read_or_refused() {
        let mut body = b"\x0a5.5.5-10.11.1-MariaDB\0\x07\0\0\0abcdefgh\0".to_vec();
        body.extend_from_slice(&[0xfe, 0xf7, 45, 2, 0, 0xff, 0x81, 21]);
        body.extend_from_slice(&[0; 6]);
        body.extend_from_slice(&[8, 0, 0, 0]);
        body.extend_from_slice(b"ijklmnopqrst\0mysql_native_password\0");
        let greeting = Greeting::read(&body).unwrap();
        assert_eq!(greeting.version, "10.11.1-MariaDB");
        assert_eq!(
            (greeting.id, &greeting.scramble[..]),
            (7, &b"abcdefghijklmnopqrst"[..])
        );
        assert_eq!(greeting.flags & flags::METADATA, flags::METADATA);
        assert!(login(Secrecy::Open).answer(&greeting, false).is_ok());
        for length in 0..body.len() - 22 {
            assert!(Greeting::read(&body[..length]).is_err(), "{length}");
        }
        let refused = Greeting::read(b"\xff\x10\x04Too many connections").unwrap_err();
        assert!(refused.contains("1040"), "{refused}");
    }

    #[test]
    fn a_password_is_proven_and_shown_to_nobody_else() {
        // Computed by Python's hashlib.
        let hex =
            |proof: Vec<u8>| -> String { proof.iter().map(|byte| format!("{byte:02x}")).collect() };
        let scramble = b"abcdefghijklmnopqrst";
        assert_eq!(
            hex(native("hush", scramble)),
            "0e49275f377ed158ebd29bc797654e5573ad0539"
        );
        assert_eq!(
            hex(sha2("hush", scramble)),
            "72b591de69688502be8c86f6c120516fbfa7ef48949ff68ae840679231f3d2ed"
        );
        assert!(
            matches!(login(Secrecy::Private).next(b"\x01\x04"), Ok(Next::Say(said)) if said == b"hush\0")
        );
        for asked in [
            &b"\x01\x04"[..],
            b"\xfemysql_clear_password\0",
            b"\xfedialog\0x",
            b"\xfe",
            b"",
        ] {
            assert!(login(Secrecy::Open).next(asked).is_err(), "{asked:?}");
        }
        assert!(matches!(login(Secrecy::Open).next(b"\0\0\0"), Ok(Next::In)));
    }

    #[test]
    fn a_password_goes_under_the_server_s_key_where_it_cannot_go_encrypted() {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};
        use base64::Engine as _;

        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
        let text = base64::engine::general_purpose::STANDARD.encode(public.as_ref());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
        let mut login = login(Secrecy::Near);
        assert!(matches!(login.next(b"\x01\x04"), Ok(Next::Say(said)) if said == [2]));
        let told = [b"\x01", pem.as_bytes()].concat();
        let Ok(Next::Say(sealed)) = login.next(&told) else {
            panic!("nothing was said");
        };
        let key = OaepPrivateDecryptingKey::new(key).unwrap();
        let mut room = vec![0; key.min_output_size()];
        let opened = key
            .decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut room, None)
            .unwrap();
        assert_eq!(masked(opened, &login.scramble), b"hush\0");
        assert!(login.next(b"\x01no key").is_err());
    }
}
