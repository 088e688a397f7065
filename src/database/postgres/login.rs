//! The proof of who logs in: SCRAM-SHA-256 (RFC 5802, RFC 7677), or what older servers ask for.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::frame::Fields;
use super::wire;

/// By which a server may ask for a password.
const MECHANISM: &str = "SCRAM-SHA-256";
/// More rounds than any server wants would keep a thread busy for long.
const MOST_ROUNDS: u32 = 1_000_000;
/// No channel binding.
const HEADER: &str = "n,,";

/// Who logs in. It has no `Debug`: it holds a password.
pub(super) struct Login<'a> {
    user: &'a str,
    password: Option<&'a str>,
    /// Nobody else can read the connection.
    is_private: bool,
    scram: Option<Scram>,
    /// The server has proven that it knows the password too.
    is_proven: bool,
}

impl<'a> Login<'a> {
    pub fn new(user: &'a str, password: Option<&'a str>, is_private: bool) -> Self {
        Login {
            user,
            password,
            is_private,
            scram: None,
            is_proven: false,
        }
    }

    /// Writes the answer to what the server asks for (`Authentication...`), if there is one.
    ///
    /// # Errors
    /// Why there is none, in words for operators.
    pub fn answer(&mut self, question: &[u8], write: &mut Vec<u8>) -> Result<(), String> {
        let mut fields = Fields(question);
        match fields.u32() {
            Some(0) if self.scram.is_some() && !self.is_proven => {
                return Err("the server has not proven that it knows the password".to_owned());
            }
            Some(0) => {}
            Some(3) if self.is_private => {
                wire::password(&[self.password()?.as_bytes(), b"\0"].concat(), write);
            }
            Some(3) => {
                let why = "the server wants the password as it is, over a connection that others can read";
                return Err(why.to_owned());
            }
            Some(5) => {
                let answer = md5(self.user, self.password()?, fields.0);
                wire::password(&[answer.as_bytes(), b"\0"].concat(), write);
            }
            Some(10) => {
                let mut knows = false;
                while let Some(name) = fields.text() {
                    knows |= name == MECHANISM;
                }
                let begun = Scram::begin(self.password()?).filter(|_| knows);
                let begun =
                    begun.ok_or("the server wants another kind of login than SCRAM-SHA-256")?;
                wire::sasl_initial(MECHANISM, begun.first().as_bytes(), write);
                self.scram = Some(begun);
            }
            Some(11) => {
                let told = String::from_utf8_lossy(fields.0);
                let last = self.scram.as_mut().and_then(|scram| scram.last(&told));
                let last = last.ok_or("what the server says in the login cannot be read")?;
                wire::password(last.as_bytes(), write);
            }
            Some(12) => {
                let told = String::from_utf8_lossy(fields.0);
                self.is_proven = self.scram.as_ref().is_some_and(|scram| scram.proves(&told));
            }
            _ => return Err("the server wants a kind of login that is not known here".to_owned()),
        }
        Ok(())
    }

    fn password(&self) -> Result<&'a str, String> {
        self.password
            .ok_or_else(|| "the server wants a password, and the URL has none".to_owned())
    }
}

/// A login by SCRAM that has begun. It has no `Debug`: it holds a password.
struct Scram {
    password: String,
    nonce: String,
    /// What the server has to prove in the end.
    expected: Option<Vec<u8>>,
}

impl Scram {
    /// None where the system has no random numbers.
    fn begin(password: &str) -> Option<Self> {
        let mut random = [0; 18];
        rand::fill(&mut random).ok()?;
        Some(Scram {
            password: password.to_owned(),
            nonce: STANDARD.encode(random),
            expected: None,
        })
    }

    /// PostgreSQL knows the user from the beginning of the connection.
    fn first(&self) -> String {
        format!("{HEADER}n=,r={}", self.nonce)
    }

    /// The answer to the server's first message. None where that is no such message.
    fn last(&mut self, server_first: &str) -> Option<String> {
        let mut parts = server_first.split(',');
        let nonce = parts.next()?.strip_prefix("r=")?;
        let salt = STANDARD.decode(parts.next()?.strip_prefix("s=")?).ok()?;
        let rounds: u32 = parts.next()?.strip_prefix("i=")?.parse().ok()?;
        if !nonce.starts_with(&self.nonce)
            || nonce.len() == self.nonce.len()
            || rounds > MOST_ROUNDS
        {
            return None;
        }
        let mut salted = [0; digest::SHA256_OUTPUT_LEN];
        let password = self.password.as_bytes();
        let rounds = NonZeroU32::new(rounds)?;
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            rounds,
            &salt,
            password,
            &mut salted,
        );
        let client_key = sign(&salted, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let bare = format!("n=,r={}", self.nonce);
        let signed = format!("{bare},{server_first},{without_proof}");
        let signature = sign(stored_key.as_ref(), signed.as_bytes());
        let pairs = client_key.as_ref().iter().zip(signature.as_ref());
        let proof: Vec<u8> = pairs.map(|(key, signature)| key ^ signature).collect();
        let server_key = sign(&salted, b"Server Key");
        self.expected = Some(
            sign(server_key.as_ref(), signed.as_bytes())
                .as_ref()
                .to_vec(),
        );
        Some(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Whether the server's last message proves that it knows the password too.
    fn proves(&self, server_last: &str) -> bool {
        let signature = server_last.strip_prefix("v=");
        let signature = signature.and_then(|text| STANDARD.decode(text.trim_end()).ok());
        match (signature, &self.expected) {
            (Some(signature), Some(expected)) => {
                constant_time::verify_slices_are_equal(&signature, expected).is_ok()
            }
            _ => false,
        }
    }
}

fn sign(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

/// The answer to a question by MD5, with the salt of the question.
fn md5(user: &str, password: &str, salt: &[u8]) -> String {
    let inner = format!(
        "{:x}",
        md5::compute([password.as_bytes(), user.as_bytes()].concat())
    );
    format!("md5{:x}", md5::compute([inner.as_bytes(), salt].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scram_is_that_of_its_standard() {
        // RFC 7677, section 3, with the user's name that PostgreSQL leaves empty.
        let mut scram = Scram::begin("pencil").unwrap();
        scram.nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
        let server_first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let last = scram.last(server_first).unwrap();
        assert!(last.starts_with("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="));
        assert!(!scram.proves("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        let expected = STANDARD.encode(scram.expected.clone().unwrap());
        assert!(scram.proves(&format!("v={expected}")));
        for wrong in [
            "",
            "r=x,s=AA==,i=1",
            "r=rOprNGfwEbeRWgbNEkqO,s=AA==,i=1",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AA==,i=0",
            "e=other",
        ] {
            assert!(scram.last(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn what_is_asked_for_is_answered_or_refused() {
        let ask = |login: &mut Login<'_>, question: &[u8]| {
            let mut write = Vec::new();
            login.answer(question, &mut write).map(|()| write)
        };
        let mut open = Login::new("me", Some("secret"), false);
        assert!(ask(&mut open, b"\0\0\0\x03").is_err());
        assert_eq!(ask(&mut open, b"\0\0\0\0"), Ok(Vec::new()));
        let mut private = Login::new("me", Some("secret"), true);
        assert_eq!(
            ask(&mut private, b"\0\0\0\x03").unwrap(),
            b"p\0\0\0\x0bsecret\0"
        );
        // md5(md5("secretme") + "salt")
        let answer = ask(&mut private, b"\0\0\0\x05salt").unwrap();
        assert_eq!(&answer[5..8], b"md5");
        assert_eq!(answer.len(), 5 + 35 + 1);
        assert!(ask(&mut private, b"\0\0\0\x0aOTHER\0\0").is_err());
        assert!(ask(&mut private, b"\0\0\0\x0bv=x").is_err());
        // A server that says it is content has to prove itself first.
        ask(&mut private, b"\0\0\0\x0aSCRAM-SHA-256\0\0").unwrap();
        assert!(ask(&mut private, b"\0\0\0\0").is_err());
        let mut nobody = Login::new("me", None, true);
        assert!(ask(&mut nobody, b"\0\0\0\x05salt").is_err());
        assert!(ask(&mut nobody, b"").is_err());
    }
}
