//! Configs that are written in another language, of which every line would be a problem.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// A line such as `key = value`, `[table]` or `[[table]]`.
static TOML: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(r#"(?m)^[ \t]*(?:[A-Za-z0-9_."'-]+[ \t]*=|\[\[?[A-Za-z0-9_."' -]+\])"#)
        .expect("the pattern is well formed")
});

/// The first line of a document in YAML: a mark, `key:`, `key: value` or `- item`.
static YAML: LazyLock<Regex> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a constant, compiled by every test")]
    Regex::new(r#"^(?:---|%YAML|- |["']?[A-Za-z_][A-Za-z0-9_./-]*["']?:(?:[ \t]|$))"#)
        .expect("the pattern is well formed")
});

/// The language that `text` looks like, which does not parse, and its first line.
pub(in super::super) fn other_language(text: &str) -> Option<(&'static str, Range<usize>)> {
    if TOML.is_match(text) {
        return None;
    }
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let place = start..start + content.len();
        start += line.len();
        let content = content.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let language = match () {
            () if content.starts_with('{') => "JSON",
            () if YAML.is_match(content) => "YAML",
            () => return None,
        };
        return Some((language, place));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_languages_are_told_by_their_first_line() {
        for (text, language) in [
            (
                "listeners:\n  web:\n    listen: 127.0.0.1:80\n",
                Some("YAML"),
            ),
            ("# a\n\n---\nlisteners: {}\n", Some("YAML")),
            ("- a\n- b: 1\n", Some("YAML")),
            ("apiVersion: v1\ndata:\n  x: |\n    y\n", Some("YAML")),
            ("{\n  \"listeners\": {}\n}\n", Some("JSON")),
            ("listeners:\n[routes.a]\n", None),
            ("a: 1\nb = 2\n", None),
            ("[listeners.web\n", None),
            ("listen 80;\n", None),
            ("", None),
        ] {
            let found = other_language(text).map(|(language, _)| language);
            assert_eq!(found, language, "{text}");
        }
    }
}
