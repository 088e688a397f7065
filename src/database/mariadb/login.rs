//! The greeting of the server, and the proof of who logs in.

use aws_lc_rs::digest;

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
    /// Nobody else can read the connection.
    pub is_private: bool,
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
    pub fn answer(&self, greeting: &Greeting, over_tls: bool) -> Result<Vec<u8>, String> {
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
        let proof = self.proof(plugin, &greeting.scramble)?;
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
    pub fn next(&self, body: &[u8]) -> Result<Next, String> {
        match body.split_first() {
            Some((0x00, _)) => Ok(Next::In),
            Some((0xff, _)) => Err(ServerError::read(body).told()),
            Some((0xfe, rest)) if !rest.is_empty() => {
                let mut fields = Fields(rest);
                let plugin = String::from_utf8_lossy(fields.until_nul()).into_owned();
                let scramble = fields.0.strip_suffix(b"\0").unwrap_or(fields.0);
                Ok(Next::Say(self.proof(&plugin, scramble)?))
            }
            // The proof was enough.
            Some((0x01, [0x03])) => Ok(Next::Wait),
            // The server has forgotten the password's digest, and wants the password.
            Some((0x01, [0x04])) => Ok(Next::Say(self.clear()?)),
            _ => Err("the server asks for something that this client does not know".to_owned()),
        }
    }

    fn proof(&self, plugin: &str, scramble: &[u8]) -> Result<Vec<u8>, String> {
        match plugin {
            NATIVE if self.password.is_empty() => Ok(Vec::new()),
            NATIVE => Ok(native(self.password, scramble)),
            SHA2 if self.password.is_empty() => Ok(Vec::new()),
            SHA2 => Ok(sha2(self.password, scramble)),
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
        if self.is_private {
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

fn masked(bytes: &[u8], mask: &[u8]) -> Vec<u8> {
    bytes.iter().zip(mask).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(is_private: bool) -> Login<'static> {
        Login {
            user: "me",
            password: "hush",
            database: "shop",
            is_private,
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
        assert!(login(false).answer(&greeting, false).is_ok());
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
        assert!(matches!(login(true).next(b"\x01\x04"), Ok(Next::Say(said)) if said == b"hush\0"));
        for asked in [
            &b"\x01\x04"[..],
            b"\xfemysql_clear_password\0",
            b"\xfedialog\0x",
            b"\xfe",
            b"",
        ] {
            assert!(login(false).next(asked).is_err(), "{asked:?}");
        }
        assert!(matches!(login(false).next(b"\0\0\0"), Ok(Next::In)));
    }
}
