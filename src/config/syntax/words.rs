//! The parser's sentences in words for somebody who does not know how TOML is made.
//!
//! They are known by their text, for there is nothing else to know them by: an error of `toml` 1 is a message and a span,
//! one of `toml_parser` 1 a description with spans and what was expected, and neither has a kind. The tests have a text
//! for each that is known here; one that a later version words differently is shown as the parser says it.

use std::ops::Range;

use super::DUPLICATE;

/// What is wrong, and how to mend it if that is plain. `what` is the parser's sentence about what stands at `span`,
/// which is not repeated: it may be a secret.
pub(super) fn in_words(text: &str, span: &Range<usize>, what: &str) -> (String, Option<String>) {
    let found = text.get(span.clone()).unwrap_or_default();
    let (kind, _) = what.split_once(", expected ").unwrap_or((what, ""));
    if let Some((message, help)) = strange_character(text, span) {
        return (message, Some(help.to_owned()));
    }
    match rule(kind).or_else(|| value(kind, found)) {
        Some((message, help)) => (message.to_owned(), Some(help.to_owned())),
        None => (what.to_owned(), None),
    }
}

/// What is wrong with the form of the file.
fn rule(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        DUPLICATE => ("this is set before in the same file", "keep one of them"),
        "invalid basic string" | "invalid literal string" => (
            "this text is not closed, or has a character that may not stand in it",
            "end it with the quote that it begins with, on the same line",
        ),
        "invalid multi-line basic string" | "invalid multi-line literal string" => (
            "this text is never closed",
            "end it with the three quotes that it begins with",
        ),
        "missing opening quote" => (
            "this text has no quote in front",
            "begin it with the quote that it ends with",
        ),
        "missing escaped value" => (
            "a backslash begins an escape here, and this is none",
            r"write `\\` for a backslash, or put the text in single quotes, where one stands for itself",
        ),
        "unclosed table" | "unclosed array table" => {
            ("the name of this table is not closed", "end it with `]`")
        }
        "missing comma between array elements" | "missing comma between key-value pairs" => {
            ("a comma is missing here", "write one between the two")
        }
        "extra assignment between key-value pairs" => (
            "a comma is missing before this",
            "write one between the two",
        ),
        "extra comma in array" | "extra comma in inline table" => {
            ("there is a comma too many here", "remove it")
        }
        "carriage return must be followed by newline" => (
            "a line ends with a carriage return alone",
            "save the file with LF or CRLF at the end of lines",
        ),
        "unexpected leading zero" => ("a number does not begin with 0", "remove the 0"),
        "unexpected key or value" => (
            "nothing may stand behind a value",
            "end the line there, or begin a comment with `#`",
        ),
        "missing assignment between key-value pairs" => {
            ("an `=` is missing here", "write `key = value`")
        }
        "invalid unquoted key"
        | "key with no value"
        | "invalid key-value pair"
        | "unexpected content" => (
            "this is not TOML",
            "write a line as `key = value`, `[table]` or `# comment`",
        ),
        kind if kind.starts_with("cannot extend value") => (
            "this table is written whole in another place, and cannot be added to here",
            "write all of it in one place",
        ),
        _ => return None,
    })
}

/// A value that is none. The parser guesses from its first letter what it was meant to be: `internal` and `none`
/// are bad floats to it, `frontend` is a bad boolean.
fn value(kind: &str, found: &str) -> Option<(&'static str, &'static str)> {
    let (_, guess) = kind.split_once("invalid ").unwrap_or_default();
    let guessed = matches!(guess, "boolean" | "float" | "date-time" | "date" | "time")
        || guess.ends_with(" number");
    if kind != "string values must be quoted" && !guessed {
        return None;
    }
    Some(match found.trim().to_ascii_lowercase().as_str() {
        "" if !guessed => ("a value is missing", "write one behind the `=`"),
        "true" | "false" | "yes" | "no" | "on" | "off" => (
            "this is not a value",
            "write `true` or `false`, in lower case",
        ),
        _ => (
            "this is neither a number nor `true` or `false`",
            "put text in quotes: \"...\"",
        ),
    })
}

/// A character that looks like another one, or like none, and that no key and no bare value may have.
fn strange_character(text: &str, span: &Range<usize>) -> Option<(String, &'static str)> {
    let found = text.get(span.start..)?.chars().next()?;
    let help = match found {
        '\u{201c}'..='\u{201f}' | '\u{2018}'..='\u{201b}' | '\u{ab}' | '\u{bb}' => {
            return Some((
                "these are not the quotes that TOML knows".to_owned(),
                "write straight quotes: \"...\"",
            ));
        }
        '\n' | '\r' | '\t' => return None,
        c if c.is_control() || c.is_whitespace() && c != ' ' || is_invisible(c) => {
            "delete it, or write a space"
        }
        _ => return None,
    };
    let code = u32::from(found);
    Some((
        format!("a character that cannot be seen stands here, U+{code:04X}"),
        help,
    ))
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let (_, errors) = toml::de::DeTable::parse_recoverable(text);
        let error = errors.first().expect(text);
        let (message, help) = in_words(text, &error.span().unwrap(), error.message());
        format!("{message}; {}", help.unwrap_or_default())
    }

    #[test]
    fn each_problem_has_words_and_help() {
        for (text, says) in [
            ("a = 15s", "put text in quotes"),
            ("a = internal", "put text in quotes"),
            ("a = frontend", "put text in quotes"),
            ("a = none", "put text in quotes"),
            ("a = 127.0.0.1:80", "put text in quotes"),
            ("a = 1979-05-27T", "put text in quotes"),
            ("a = 0xg", "put text in quotes"),
            ("a = hunter2", "put text in quotes"),
            ("a = True", "in lower case"),
            ("a = on", "in lower case"),
            ("a = ", "a value is missing"),
            ("a", "is not TOML"),
            ("a: 1", "is not TOML"),
            ("{\"a\": 1}", "is not TOML"),
            ("a = \"b", "end it with the quote"),
            ("a = 'b", "end it with the quote"),
            ("a = b\"", "begin it with the quote"),
            ("a = \"\"\"b", "three quotes"),
            ("a = \"\\d\"", "in single quotes"),
            ("[a", "end it with `]`"),
            ("a = [\"b\" \"c\"]", "a comma is missing"),
            ("a = { b = 1 c = 2 }", "a comma is missing"),
            ("a = { b: 1 }", "write `key = value`"),
            ("a = [1,,]", "a comma too many"),
            ("a = 1\rb = 2", "LF or CRLF"),
            ("a = 01", "remove the 0"),
            ("a = 1, b = 2", "behind a value"),
            ("a = {}\na.b = 1", "in one place"),
            ("a = \u{201c}b\u{201d}", "straight quotes"),
            ("a\u{a0}= 1", "U+00A0"),
            ("\0a = 1", "U+0000"),
        ] {
            let told = told(text);
            assert!(told.contains(says), "{text}: {told}");
            assert!(!told.contains("hunter2"));
        }
    }
}
