//! Source lines are shown where they are wrong; a secret written in them is not.
//!
//! Three nets, for a line is shown just because something about it is not as it should be. What was parsed is followed
//! by its keys: below `credentials` every value counts as a secret, and so it does under a key that sounds like one,
//! misspelled or not, and a comment beside it, where the last one often stands. The text is searched for what looks like
//! a secret, comments included. And whatever is read as a secret is struck out where it stands ([`below`]).

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

use super::suggest::nearest;
use super::tree::{Node, Value};
use crate::value::names_a_secret;

/// Keys under which people write secrets.
const SECRET_KEYS: &[&str] = &[
    "credentials",
    "bearer",
    "basic",
    "api_key",
    "apikey",
    "value",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "client_secret",
    "token",
    "private_key",
    "access_key",
];

/// Keys of a credential whose text says where the secret is or how it is sent.
const PUBLIC_KEYS: &[&str] = &["file", "env", "header", "token_url", "auth_style"];

/// As deep as the `toml` crate goes.
const MAX_DEPTH: u32 = 80;

/// Such a key, followed by a value, quoted or not; a colon only as JSON and YAML have it, and headers.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    let keys =
        "value|bearer|password|client_secret|secret|token|(?:x-)?api[_-]key|basic|authorization";
    // Without quotes nobody knows where the secret ends, so all of the line goes.
    let value = r#""""(?s:.*?)(?:"""|$)|'''(?s:.*?)(?:'''|$)|"(?:\\.|[^"\\\n])*|'[^'\n]*|[^\s"'{}\[\],#][^\n]*"#;
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(&format!(
        r#"(?i)(?:^|[^a-z0-9_-])(?:{keys})(?:["']?[ \t]*=|["'][ \t]*:|:[ \t])[ \t]*({value})"#
    ))
    .expect("the pattern is well formed")
});

/// The user and the password of a URL: all up to the last `@` before its path. A slash in the password, which should
/// be escaped, ends nothing; and the scheme may have been forgotten, with its slashes or without.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(concat!(
        r#"://([^/@:\s"'`]*:[0-9]*[^0-9/@\s"'`][^/@\s"'`]*/[^\s"'`]*)@"#,
        r#"|://([^/\s"'`]+)@"#,
        r#"|["'`](?://)?([^/@:\s"'`]+:[^/@\s"'`]+)@"#,
    ))
    .expect("the pattern is well formed")
});

/// A private key that stands where its file should be named, cut off or not. Its first line tells that it is one.
static PRIVATE_KEY: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:(.*?))(?:-----END|$)")
        .expect("the pattern is well formed")
});

/// What follows the name of a scheme, as in a value of Authorization. Words of a sentence are mostly shorter.
static SCHEME: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(r"(?i)\b(?:bearer|basic)[ \t]+([a-z0-9._~+/=-]{8,})")
        .expect("the pattern is well formed")
});

/// A header with its value where only its name should be.
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(r#"(?:^|[^a-z0-9_-])header["']?[ \t]*=[ \t]*["'][^"':\n]*:[ \t]*([^"'\n]+)"#)
        .expect("the pattern is well formed")
});

/// The same text, byte for byte as long, with the values of secrets struck out.
pub(super) fn redact(text: &str) -> String {
    let mut shown = text.to_owned();
    let by_look = SECRET.captures_iter(text).filter_map(|found| found.get(1));
    let spans = by_look.map(|value| value.range()).chain(by_key(text));
    for span in spans.chain(anywhere(text)) {
        strike_out(&mut shown, span);
    }
    shown
}

/// A sentence without the users and passwords of URLs and the private keys that it repeats.
pub(super) fn sentence(text: String) -> String {
    let mut shown = text;
    for secret in anywhere(&shown).collect::<Vec<_>>() {
        strike_out(&mut shown, secret);
    }
    shown
}

/// Strikes out what stands at `span`.
pub(super) fn strike_out(shown: &mut String, span: Range<usize>) {
    if let Some(secret) = shown.get(span.clone()) {
        let struck = secret.chars().flat_map(|c| match c {
            '"' | '\'' | '\r' | '\n' => std::iter::repeat_n(c, 1),
            c => std::iter::repeat_n('*', c.len_utf8()),
        });
        let struck: String = struck.collect();
        shown.replace_range(span, &struck);
    }
}

/// Where the values stand in `node`, which is read as a secret.
pub(super) fn below(node: &Node) -> Vec<Range<usize>> {
    match &node.value {
        Value::Table(table) => {
            let hidden = |(key, _): &(&String, _)| !PUBLIC_KEYS.contains(&key.as_str());
            let inner = table.iter().filter(hidden);
            inner.flat_map(|(_, entry)| below(&entry.node)).collect()
        }
        Value::List(items) => items.iter().flat_map(below).collect(),
        _ => vec![node.place.span.clone()],
    }
}

/// Where secrets stand that need no key to be known.
fn anywhere(text: &str) -> impl Iterator<Item = Range<usize>> {
    let part = |found: regex::Captures<'_>| {
        let part = found.iter().skip(1).flatten().next()?;
        Some(part.range())
    };
    let users = USER.captures_iter(text);
    users
        .chain(PRIVATE_KEY.captures_iter(text))
        .chain(SCHEME.captures_iter(text))
        .chain(HEADER.captures_iter(text))
        .filter_map(part)
}

/// Where the secrets stand by their keys. The parser's events go on behind what does not parse.
fn by_key(text: &str) -> Vec<Range<usize>> {
    let tokens = Source::new(text).lex().into_vec();
    let mut walk = Walk {
        text,
        found: Vec::new(),
        table: Standing::Plain,
        open: Vec::new(),
        keys: Vec::new(),
        value: None,
        awaited: false,
        hidden_in_line: false,
    };
    let mut receive = |event: Event| walk.event(&event);
    let mut guard = RecursionGuard::new(&mut receive, MAX_DEPTH);
    parse_document(&tokens, &mut guard, &mut Vec::new());
    walk.hide_lone_keys();
    walk.found
}

/// What a value is, by the keys that lead to it.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Plain,
    Secret,
    /// Text that a credential says openly.
    Public,
}

struct Walk<'a> {
    text: &'a str,
    found: Vec<Range<usize>>,
    /// Of the table that the last header began.
    table: Standing,
    /// Of the lists and inline tables that are open.
    open: Vec<Standing>,
    /// The keys read since the last value.
    keys: Vec<Range<usize>>,
    /// Of the value that comes next, once its key is known.
    value: Option<Standing>,
    /// A secret's key and `=` were the last that was read: its value may stand on the next line.
    awaited: bool,
    /// A secret stands in the line that is being read.
    hidden_in_line: bool,
}

impl Walk<'_> {
    fn event(&mut self, event: &Event) {
        let span = event.span().start()..event.span().end();
        match event.kind() {
            EventKind::StdTableOpen | EventKind::ArrayTableOpen => {
                self.open.clear();
                self.table = Standing::Plain;
                self.awaited = false;
                self.next();
            }
            EventKind::StdTableClose | EventKind::ArrayTableClose => {
                self.table = self.under_keys();
                self.next();
            }
            EventKind::SimpleKey => self.keys.push(span),
            EventKind::KeyValSep => {
                // What should be a key and has no value may be the secret itself.
                if span.is_empty() {
                    self.hide_lone_keys();
                }
                self.value = Some(self.under_keys());
                self.awaited = self.value == Some(Standing::Secret);
                self.keys.clear();
            }
            EventKind::InlineTableOpen | EventKind::ArrayOpen => {
                self.open.push(match self.standing() {
                    Standing::Public => Standing::Secret,
                    standing => standing,
                });
                self.next();
            }
            EventKind::InlineTableClose | EventKind::ArrayClose => {
                self.open.pop();
                self.next();
            }
            EventKind::Scalar | EventKind::Error if self.standing() == Standing::Secret => {
                self.awaited &= span.is_empty();
                self.hide(span);
            }
            EventKind::ValueSep => self.next(),
            EventKind::Comment if self.hidden_in_line || self.around() == Standing::Secret => {
                self.hide(span.start + 1..span.end);
            }
            EventKind::Newline => {
                if self.open.is_empty() {
                    self.hide_lone_keys();
                    self.next();
                }
                self.hidden_in_line = false;
            }
            _ => {}
        }
    }

    fn hide(&mut self, span: Range<usize>) {
        self.found.push(span);
        self.hidden_in_line = true;
    }

    /// Keys without a value, where a secret is expected.
    fn hide_lone_keys(&mut self) {
        if self.awaited || self.around() == Standing::Secret {
            self.hidden_in_line |= !self.keys.is_empty();
            self.found.append(&mut self.keys);
        }
    }

    fn next(&mut self) {
        self.keys.clear();
        self.value = None;
    }

    /// Of a value that stands here.
    fn standing(&self) -> Standing {
        self.value.unwrap_or_else(|| self.under_keys())
    }

    fn around(&self) -> Standing {
        self.open.last().copied().unwrap_or(self.table)
    }

    fn under_keys(&self) -> Standing {
        let keys = self
            .keys
            .iter()
            .filter_map(|key| self.text.get(key.clone()));
        keys.fold(self.around(), |standing, key| {
            let key = key.trim_matches(['"', '\'', ':']);
            match standing {
                Standing::Plain if sounds_secret(key) => Standing::Secret,
                Standing::Plain => Standing::Plain,
                _ if PUBLIC_KEYS.contains(&key) => Standing::Public,
                _ => Standing::Secret,
            }
        })
    }
}

/// Whether a secret is likely to stand under `key`.
fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('-', "_");
    !PUBLIC_KEYS.contains(&key.as_str())
        && (names_a_secret(&key) || nearest(&key, SECRET_KEYS.iter().copied()).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_struck_out() {
        for (text, shown) in [
            (
                r#"bearer = { value = "s3cret" } # x"#,
                r#"bearer = { value = "******" } #**"#,
            ),
            (r#"bearer = 's3cret'"#, "bearer = '******'"),
            ("password=\"half", "password=\"****"),
            ("token = s3 cret # x\ny", "token = ***********\ny"),
            ("token = { env = \"A\" }", "token = { env = \"A\" }"),
            (
                "client_secret = \"\"\"a\nb\"\"\"",
                "client_secret = \"\"\"*\n*\"\"\"",
            ),
            (
                "url = \"http://me:s3cret@idp/a@b\"",
                "url = \"http://*********@idp/a@b\"",
            ),
            (
                "url = \"http://me:s3/cret@idp\"",
                "url = \"http://**********@idp\"",
            ),
            (
                "url = \"http://me:s3@cret@idp:80/a\"",
                "url = \"http://**********@idp:80/a\"",
            ),
            ("e = [\"me:s3@app:80\"]", "e = [\"*****@app:80\"]"),
            ("e = [\"//me:s3@app:80\"]", "e = [\"//*****@app:80\"]"),
            ("{\"value\": \"s3\"}", "{\"value\": \"**\"}"),
            (
                "key = \"-----BEGIN RSA PRIVATE KEY-----\\ns3\\n-----END",
                "key = \"-----BEGIN RSA PRIVATE KEY-----******-----END",
            ),
            (
                "key = -----BEGIN PRIVATE KEY-----\ns3",
                "key = -----BEGIN PRIVATE KEY-----\n**",
            ),
            (
                "endpoints = [\"token:80\"] # x",
                "endpoints = [\"token:80\"] # x",
            ),
            ("timeout = \"1s\"", "timeout = \"1s\""),
            (
                "{ header = \"X-Key: s3\", b = \"c\" }",
                "{ header = \"X-Key: **\", b = \"c\" }",
            ),
            ("from = \"header:x-key\"", "from = \"header:x-key\""),
            ("a = \"1s\" # token: s3", "a = \"1s\" # token: **"),
            (
                "h = [\"x-api-key: s3\", \"b\"]",
                "h = [\"x-api-key: **\"**\"*\"*",
            ),
            (
                "h = { x = \"Basic czM6czM6\" }",
                "h = { x = \"Basic ********\" }",
            ),
            (
                "bearer = { file = \"/run/token\" }",
                "bearer = { file = \"/run/token\" }",
            ),
        ] {
            assert_eq!(redact(text).len(), text.len(), "{text}");
            assert_eq!(redact(text), shown);
        }
        let escaped = redact("\"value\" = \"é\\\"\"");
        assert!(!escaped.contains('é'), "{escaped}");
    }

    /// However the key is misspelled, and whatever form the value has.
    #[test]
    fn whatever_stands_in_a_credential_is_struck_out() {
        for text in [
            "credentials = { bearer = { valeu = \"S3\" } }",
            "credentials = { bearer = [\"S3\"] }",
            "credentials = { basic = { username = \"u\", passwd = \"S3\" } }",
            "credentials = { basic = { username = \"u\", pw = 'S3' } }",
            "credentials = { bearer = 53 }\nx = \"S3\"",
            "credentials = { bearer = { file = [\"S3\"] } }",
            "credentials = { bearer = { \"S3\" } }",
            "credentials = { bearer = { valeu: \"S3\" } }",
            "credentials = { bearer = { valeu = \"S3 } }",
            "credentials = { bearer = { x = \"\"\"S3\nS3\"\"\" } }",
            "credentials = \"S3\"",
            "credentails.oauth2.secret_text = \"S3\"",
            "[routes.a.credentials]\nfoo = \"S3\"\nbar: S3\nbaz \"S3\"",
            "[routes.a.credentials.oauth2]\nclient_id = \"S3\"",
            "[[routes.a.credentials]]\nx = { y = { z = 'S3' } }",
            "[routes.\"a\".\"credentials\"]\nx = S3 S3",
            "[defaults]\ncredentials.x.y = \"S3\"",
            "passwrod = \"S3\"",
            "client_secert = [\"S3\"]",
            "x = { clientsecret = \"S3\" }",
            "db-password = \"S3\"",
            "x = { client_secret_2 = [\"S3\"] }",
            "api-key: S3",
            "token = \"a\" # was S3",
            "[routes.a.credentials]\n# was S3\nbearer = { file = \"/t\" } # S3",
            "[routes.a.credentials.bearer]\nS3",
            "[routes.a.credentials.bearer]\nvalue =\n\"S3\"\n",
            "credentials.bearer.value =\n  S3\ny = 1",
            "set_headers = { Authorization = [\"Bearer S3\"] }",
            "headers = { Cookie = \"sid=S3\" }",
        ] {
            let shown = redact(text);
            assert_eq!(shown.len(), text.len(), "{text}");
            let hidden = shown.replace("x = \"S3\"", "");
            assert!(!hidden.contains("S3") && !hidden.contains("53"), "{shown}");
        }
    }

    #[test]
    fn where_a_secret_comes_from_is_shown() {
        for text in [
            "credentials = { bearer = { file = \"/run/x\" } }",
            "credentials = { api_key = { header = \"X-API-Key\" } }",
            "[a.credentials.oauth2]\ntoken_url = \"https://idp/token\"\nauth_style = \"post\"",
            "[a.credentials]\n[b]\nkey = \"x.pem\"\npath = \"/v1\"\nvalues = 1",
            "jwt = { audiences = [\"a\"], from = \"header:x\" }",
            "authorize = { clients = [\"*\"] } # who may",
            "[a.credentials]\nbearer =\n[b]\nlisten \"x\"",
        ] {
            let shown = redact(text);
            let expected = text.replace("values = 1", "values = *");
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn a_sentence_loses_the_users_of_its_urls() {
        let said = sentence("`http://me:s3cret@a:1` is a URL".to_owned());
        assert_eq!(said, "`http://*********@a:1` is a URL");
        assert_eq!(sentence("`a:1` is a".to_owned()), "`a:1` is a");
        let said = sentence("cannot read `/a/-----BEGIN PRIVATE KEY-----\ns3\n`".to_owned());
        assert!(!said.contains("s3"), "{said}");
    }
}
