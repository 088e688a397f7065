//! Text that is valid JSON and no valid Unicode: a surrogate escape that stands alone.
//!
//! RFC 8259, section 8.2, allows `"\ud800"` and calls what becomes of it unpredictable. No text here can hold it, so while
//! a document is worked on a character stands in for it, one to each, from a private area that nobody uses; when the
//! document is written, the escape is back.

use std::borrow::Cow;

/// Whether a document has surrogates that stand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lone {
    None,
    StoodInFor,
}

/// Stands in for U+D800, and those behind it for the others up to U+DFFF: the end of plane 16, all for private use.
const FIRST: u32 = 0x10_f000;
const SURROGATES: std::ops::Range<u32> = 0xd800..0xe000;

/// The text with characters in place of surrogate escapes that stand alone; None when it has none.
///
/// # Errors
/// It uses one of these characters itself, so that nobody could tell them apart.
pub fn stand_in(text: &str) -> Result<Option<String>, String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut ours = text.chars().any(|c| is_ours(c as u32));
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text.as_bytes()[at..]) {
        let start = at + found;
        let Some(unit) = escape(text, start) else {
            // Another escape: what it is about is no backslash that begins one.
            at = start + 2;
            if at >= text.len() {
                break;
            }
            continue;
        };
        at = start + ESCAPE;
        if !SURROGATES.contains(&unit) {
            continue;
        }
        let second = escape(text, at).filter(|second| (0xdc00..0xe000).contains(second));
        if let (0xd800..0xdc00, Some(second)) = (unit, second) {
            ours |= is_ours(0x1_0000 + ((unit - 0xd800) << 10) + (second - 0xdc00));
            at += ESCAPE;
            continue;
        }
        out.push_str(&text[copied..start]);
        out.extend(char::from_u32(FIRST + unit - SURROGATES.start));
        copied = at;
    }
    if copied == 0 {
        return Ok(None);
    }
    if ours {
        return Err(
            "it has surrogate escapes that stand alone, beside characters from U+10F000 to U+10F7FF"
                .to_owned(),
        );
    }
    out.push_str(&text[copied..]);
    Ok(Some(out))
}

/// The escapes in place of what stands in for them, in text that was written.
pub fn put_back(written: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&written) else {
        return written;
    };
    let escaped = text.split_inclusive(|c| is_ours(c as u32)).map(|part| {
        match part.chars().next_back().filter(|c| is_ours(*c as u32)) {
            None => Cow::Borrowed(part),
            Some(last) => {
                let before = &part[..part.len() - last.len_utf8()];
                let unit = last as u32 - FIRST + SURROGATES.start;
                Cow::Owned(format!("{before}\\u{unit:04x}"))
            }
        }
    });
    escaped.collect::<String>().into_bytes()
}

fn is_ours(c: u32) -> bool {
    (FIRST..FIRST + SURROGATES.end - SURROGATES.start).contains(&c)
}

/// Bytes of `\u` and four digits.
const ESCAPE: usize = 6;

/// The code unit of an escape that begins at `start`.
fn escape(text: &str, start: usize) -> Option<u32> {
    let digits = text.get(start..start + ESCAPE)?.strip_prefix("\\u")?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_stands_alone_is_stood_in_for() {
        for (text, again) in [
            (r#"["\ud800"]"#, r#"["\ud800"]"#),
            (
                r#"{"a\uDFFFb":"\udc00\ud83d\ude00\ud83d"}"#,
                r#"{"a\udfffb":"\udc00\ud83d\ude00\ud83d"}"#,
            ),
            (r#""\\\ud800\\ud800""#, r#""\\\ud800\\ud800""#),
        ] {
            let stood_in = stand_in(text).unwrap().unwrap();
            assert!(
                serde_json::from_str::<serde_json::Value>(&stood_in).is_ok(),
                "{text}"
            );
            assert_eq!(put_back(stood_in.into_bytes()), again.as_bytes(), "{text}");
        }
        for text in [
            r#""\ud83d\ude00""#,
            r#""\\ud800""#,
            r#""\ud8""#,
            "\"\u{10f000}\"",
            "\\",
        ] {
            assert_eq!(stand_in(text), Ok(None), "{text}");
        }
        for text in ["\"\\ud800\u{10f000}\"", r#""\ud800\udbfc\udc00""#] {
            assert!(stand_in(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\\\|u|d8|dc|00|é|\"|\u{10f001}){0,12}") {
            let _ = stand_in(&text);
            prop_assert_eq!(put_back(b"\xff".to_vec()), b"\xff".to_vec());
        }
    }
}
