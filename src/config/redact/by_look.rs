//! Secrets that are known by what they look like, in comments too.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// A key under which secrets are written, followed by a value, quoted or not; a colon only as JSON and YAML have it, and headers.
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

/// Where the values stand behind keys under which secrets are written, whatever else the text is.
pub(super) fn behind_keys(text: &str) -> impl Iterator<Item = Range<usize>> {
    let values = SECRET.captures_iter(text).filter_map(|found| found.get(1));
    values.map(|value| value.range())
}

/// Where secrets stand that need no key to be known.
pub(super) fn anywhere(text: &str) -> impl Iterator<Item = Range<usize>> {
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
