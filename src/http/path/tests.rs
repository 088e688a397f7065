use super::*;
use proptest::prelude::*;

fn normal(target: &str) -> Result<(String, bool), Error> {
    let target: PathAndQuery = target.parse().unwrap();
    normalise(target).map(|n| (n.target.to_string(), n.encoded_separators))
}

#[test]
fn each_rule_has_its_effect() {
    for (given, expected) in [
        ("/", "/"),
        ("*", "*"),
        ("?q", "/?q"),
        ("/a/b?c=//../%41", "/a/b?c=//../%41"),
        ("/a/./b/../c", "/a/c"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/../../a", "/a"),
        ("/..", "/"),
        ("//a///b//", "/a/b/"),
        ("/a//../b", "/b"),
        ("/%2e%2E/a/%2e/b", "/a/b"),
        ("/%41%7e%2d", "/A~-"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/café", "/caf%C3%A9"),
        ("/a|b{c}", "/a%7Cb%7Bc%7D"),
        ("/%252e%252e/", "/%252e%252e/"),
        ("/...", "/..."),
        ("/.a/..b/c.", "/.a/..b/c."),
    ] {
        assert_eq!(
            normal(given).unwrap(),
            (expected.to_owned(), false),
            "{given}"
        );
    }
}

#[test]
fn encoded_separators_are_kept_and_reported() {
    for (given, expected) in [
        ("/a%2fb", "/a%2Fb"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%5cb", "/a%5Cb"),
        ("/a%00", "/a%00"),
        ("/a\\b", "/a%5Cb"),
        ("/x/..%2f..%2fetc", "/x/..%2F..%2Fetc"),
        ("/a%2fb/../c", "/c"),
    ] {
        assert_eq!(
            normal(given).unwrap(),
            (expected.to_owned(), true),
            "{given}"
        );
    }
    assert!(!normal("/a?b=%2f").unwrap().1, "the query does not count");
}

#[test]
fn malformed_escapes_are_refused() {
    for given in ["/%", "/%2", "/%zz", "/a%2/b", "//%4", "/%+1", "/%%41"] {
        assert_eq!(normal(given).unwrap_err().reason(), BAD_PATH, "{given}");
    }
}

#[test]
fn a_path_that_needs_no_change_is_not_copied() {
    let target = PathAndQuery::from_maybe_shared(bytes::Bytes::from("/a/b%2Fc/?d".to_owned()));
    let target = target.unwrap();
    let before = target.as_str().as_ptr();
    let after = normalise(target).unwrap().target;
    assert_eq!(before, after.as_str().as_ptr());
}

/// The rules one after the other, each over the whole path.
fn reference(path: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, escaped) = match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let hex = |d: u8| char::from(d).to_digit(16);
                ((hex(digits[0])? * 16 + hex(digits[1])?) as u8, true)
            }
            byte => (byte, false),
        };
        let bare = char::from(byte).is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if bare || !escaped && b"/!$&'()*+,;=:@".contains(&byte) {
            decoded.push(char::from(byte));
        } else {
            decoded.push_str(&format!("%{byte:02X}"));
        }
    }
    let segments: Vec<&str> = decoded.split('/').collect();
    let mut kept = Vec::new();
    for segment in &segments {
        match *segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let directory = matches!(segments.last(), Some(&("" | "." | "..")));
    let mut result = format!("/{}", kept.join("/"));
    if directory && !kept.is_empty() {
        result.push('/');
    }
    Some(result)
}

fn paths() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/"),
        Just("/"),
        Just("."),
        Just(".."),
        Just("%2e"),
        Just("%2E"),
        Just("%2f"),
        Just("%5C"),
        Just("%00"),
        Just("%41"),
        Just("%c3%A9"),
        Just("%25"),
        Just("%"),
        Just("a"),
        Just("B~"),
        Just(";x=1"),
        Just("\\"),
        Just("é"),
        Just("|"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #[test]
    fn agrees_with_the_slow_reference(path in paths()) {
        let ours = canonical(&path).map(|c| c.text.into_owned());
        prop_assert_eq!(ours, reference(&path));
    }

    #[test]
    fn is_idempotent_and_free_of_what_it_removes(path in paths()) {
        if let Some(first) = canonical(&path) {
            prop_assert!(!first.text.contains("//"));
            prop_assert!(!first.text.split('/').any(|s| s == "." || s == ".."));
            let second = canonical(&first.text).unwrap();
            prop_assert!(matches!(second.text, Cow::Borrowed(_)), "a second pass changes it");
            prop_assert_eq!(&second.text, &first.text);
            // A segment with one may have gone away.
            prop_assert!(first.encoded_separators || !second.encoded_separators);
        }
    }

    #[test]
    fn any_target_is_normalised_or_refused(text in "/[ -~é]{0,40}") {
        if let Ok(target) = text.parse::<PathAndQuery>()
            && let Ok(normalised) = normalise(target.clone()) {
            prop_assert_eq!(normalised.target.query(), target.query());
            prop_assert!(normalised.target.path().starts_with('/'));
        }
    }
}
