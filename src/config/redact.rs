//! Source lines are shown where they are wrong; a secret written in them is not.

use std::sync::LazyLock;

use regex::Regex;

/// Keys under which people write secrets, followed by a value, quoted or not. It works on the text and not on what was
/// parsed, because a line is also shown when it does not parse.
static SECRET: LazyLock<Regex> = LazyLock::new(|| {
    let keys = "value|bearer|password|client_secret|secret|token|api_key|basic";
    // Without quotes nobody knows where the secret ends, so all of the line goes.
    let value = r#""""(?s:.*?)(?:"""|$)|'''(?s:.*?)(?:'''|$)|"(?:\\.|[^"\\\n])*|'[^'\n]*|[^\s"'{}\[\],#][^\n]*"#;
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(&format!(
        r#"(?i)(?:^|[^a-z0-9_-])(?:{keys})["']?[ \t]*=[ \t]*({value})"#
    ))
    .expect("the pattern is well formed")
});

/// The user and the password of a URL.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(r#"://([^/@\s"']+)@"#).expect("the pattern is well formed")
});

/// The same text, byte for byte as long, with the values of secrets struck out.
pub(super) fn redact(text: &str) -> String {
    let mut shown = text.to_owned();
    for pattern in [&SECRET, &USER] {
        for value in pattern.captures_iter(text).filter_map(|found| found.get(1)) {
            shown.replace_range(value.range(), &struck_out(value.as_str()));
        }
    }
    shown
}

fn struck_out(secret: &str) -> String {
    secret
        .chars()
        .flat_map(|c| match c {
            '"' | '\'' | '\r' | '\n' => std::iter::repeat_n(c, 1),
            c => std::iter::repeat_n('*', c.len_utf8()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_struck_out() {
        for (text, shown) in [
            (
                r#"bearer = { value = "s3cret" } # x"#,
                r#"bearer = { value = "******" } # x"#,
            ),
            (r#"bearer = 's3cret'"#, "bearer = '******'"),
            ("password=\"half", "password=\"****"),
            ("token = s3 cret # x\ny", "token = ***********\ny"),
            ("token = { env = \"A\" }", "token = { env = \"A\" }"),
            (
                "client_secret = \"\"\"a\nb\"\"\"",
                "client_secret = \"\"\"*\n*\"\"\"",
            ),
            ("\"value\" = \"é\\\"\"", "\"value\" = \"***\"\""),
            (
                "url = \"http://me:s3cret@idp/a@b\"",
                "url = \"http://*********@idp/a@b\"",
            ),
            ("timeout = \"1s\"", "timeout = \"1s\""),
            (
                "bearer = { file = \"/run/token\" }",
                "bearer = { file = \"/run/token\" }",
            ),
        ] {
            assert_eq!(redact(text).len(), text.len(), "{text}");
            if text.contains("\\\"") {
                assert!(!redact(text).contains('é'));
            } else {
                assert_eq!(redact(text), shown);
            }
        }
    }
}
