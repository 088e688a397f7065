//! The proof of who logs in: SCRAM-SHA-256 (RFC 5802, RFC 7677), or what older servers ask for. The computing is
//! `postgres_protocol`'s, which also prepares a password as its standard says (SASLprep, RFC 4013) and refuses a server that wants
//! more than 100,000 rounds; which question may be answered is decided here.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

/// Who logs in. It has no `Debug`: it holds a password.
pub(super) struct Login<'a> {
    user: &'a str,
    password: Option<&'a str>,
    /// Nobody else can read the connection.
    is_private: bool,
    scram: Option<ScramSha256>,
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

    /// Writes the answer to what the server asks for, if it asks for something that has to do with the login.
    ///
    /// # Errors
    /// Why there is none, in words for operators.
    pub fn answer(&mut self, question: &Message, write: &mut BytesMut) -> Result<(), String> {
        let unfit = |_| "the password cannot be sent".to_owned();
        match question {
            Message::AuthenticationOk if self.scram.is_some() && !self.is_proven => {
                Err("the server has not proven that it knows the password".to_owned())
            }
            Message::AuthenticationCleartextPassword if self.is_private => {
                let password = self.password()?.as_bytes();
                frontend::password_message(password, write).map_err(unfit)
            }
            Message::AuthenticationCleartextPassword => {
                let why = "the server wants the password as it is, over a connection that others can read";
                Err(why.to_owned())
            }
            Message::AuthenticationMd5Password(body) => {
                let password = self.password()?.as_bytes();
                let answer = md5_hash(self.user.as_bytes(), password, body.salt());
                frontend::password_message(answer.as_bytes(), write).map_err(unfit)
            }
            Message::AuthenticationSasl(body) => {
                let knows = body.mechanisms().any(|name| Ok(name == SCRAM_SHA_256));
                if self.scram.is_some() || !matches!(knows, Ok(true)) {
                    return Err(UNKNOWN.to_owned());
                }
                let password = self.password()?.as_bytes();
                let scram = ScramSha256::new(password, ChannelBinding::unsupported());
                let first = scram.message();
                frontend::sasl_initial_response(SCRAM_SHA_256, first, write).map_err(unfit)?;
                self.scram = Some(scram);
                Ok(())
            }
            Message::AuthenticationSaslContinue(body) => {
                let scram = self.scram.as_mut().ok_or(UNREADABLE)?;
                scram.update(body.data()).map_err(|_| UNREADABLE)?;
                frontend::sasl_response(scram.message(), write).map_err(unfit)
            }
            Message::AuthenticationSaslFinal(body) => {
                let scram = self.scram.as_mut().ok_or(UNREADABLE)?;
                self.is_proven = scram.finish(body.data()).is_ok();
                Ok(())
            }
            Message::AuthenticationGss
            | Message::AuthenticationGssContinue(_)
            | Message::AuthenticationKerberosV5
            | Message::AuthenticationScmCredential
            | Message::AuthenticationSspi => Err(UNKNOWN.to_owned()),
            _ => Ok(()),
        }
    }

    fn password(&self) -> Result<&'a str, String> {
        self.password
            .ok_or_else(|| "the server wants a password, and the URL has none".to_owned())
    }
}

const UNKNOWN: &str = "the server wants another kind of login than SCRAM-SHA-256";
const UNREADABLE: &str = "what the server says in the login cannot be answered";

#[cfg(test)]
mod tests {
    use super::*;

    /// The message with which a server asks (`Authentication...`).
    fn question(body: &[u8]) -> Message {
        let mut message = BytesMut::from(&b"R\0\0\0"[..]);
        message.extend_from_slice(&[u8::try_from(body.len() + 4).unwrap()]);
        message.extend_from_slice(body);
        Message::parse(&mut message).unwrap().unwrap()
    }

    fn ask(login: &mut Login<'_>, body: &[u8]) -> Result<Vec<u8>, String> {
        let mut write = BytesMut::new();
        let answered = login.answer(&question(body), &mut write);
        answered.map(|()| write.to_vec())
    }

    #[test]
    fn what_is_asked_for_is_answered_or_refused() {
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
        assert!(ask(&mut private, b"\0\0\0\x07").is_err());
        assert!(ask(&mut private, b"\0\0\0\x0aOTHER\0\0").is_err());
        assert!(ask(&mut private, b"\0\0\0\x0aOTHER").is_err());
        assert!(ask(&mut private, b"\0\0\0\x0bv=x").is_err());
        let mut nobody = Login::new("me", None, true);
        assert!(ask(&mut nobody, b"\0\0\0\x05salt").is_err());
        assert!(ask(&mut nobody, b"\0\0\0\x0aSCRAM-SHA-256\0\0").is_err());
    }

    #[test]
    fn a_server_has_to_prove_itself_before_it_is_content() {
        let begun = |login: &mut Login<'_>| {
            let first = ask(login, b"\0\0\0\x0aSCRAM-SHA-256\0\0").unwrap();
            let first = String::from_utf8(first[5..].to_vec()).unwrap();
            let (_, nonce) = first.rsplit_once("r=").unwrap();
            nonce.to_owned()
        };
        let mut login = Login::new("me", Some("secret"), true);
        begun(&mut login);
        assert!(ask(&mut login, b"\0\0\0\0").is_err());
        assert!(ask(&mut login, b"\0\0\0\x0aSCRAM-SHA-256\0\0").is_err());

        let mut login = Login::new("me", Some("secret"), true);
        let nonce = begun(&mut login);
        let challenge = format!("\0\0\0\x0br={nonce}x,s=AAAA,i=4096");
        assert!(ask(&mut login, challenge.as_bytes()).is_ok());
        assert!(ask(&mut login, b"\0\0\0\x0cv=AAAA").is_ok());
        assert!(ask(&mut login, b"\0\0\0\0").is_err());
        // Neither another challenge nor another proof after it.
        assert!(ask(&mut login, challenge.as_bytes()).is_err());
        assert!(ask(&mut login, b"\0\0\0\x0cv=AAAA").is_ok());
        assert!(ask(&mut login, b"\0\0\0\0").is_err());

        // Rounds that would keep a thread busy, and what is no challenge.
        for wrong in [
            "r=NONCEx,s=AAAA,i=100000000",
            "r=x,s=AAAA,i=1",
            "e=other",
            "",
        ] {
            let mut login = Login::new("me", Some("secret"), true);
            let wrong = wrong.replace("NONCE", &begun(&mut login));
            let asked = ask(&mut login, format!("\0\0\0\x0b{wrong}").as_bytes());
            assert!(asked.is_err(), "{wrong}");
        }
    }
}
