//! What is read, and that a scan finds the same.

use super::*;
use proptest::prelude::*;

fn again(text: &str) -> Result<String, String> {
    let document = Document::scan(text.as_bytes())?;
    let written = document.write(&Draft::Node(document.root()), 1 << 20);
    Ok(String::from_utf8(written.unwrap()).unwrap())
}

fn agree(text: &str) -> Result<(), TestCaseError> {
    let by_reader = read(text.as_bytes()).map(|document| (document.to_string(), document));
    let scanned = scan::scan(text.trim_start_matches('\u{feff}').into());
    let by_scan = scanned.map(|tape| {
        let mut written = Vec::new();
        tape.root().write(&mut written);
        (String::from_utf8(written).unwrap(), tape.root().to_value())
    });
    prop_assert_eq!(by_scan, by_reader.ok(), "{}", text);
    Ok(())
}

/// What matters to a reader of JSON, right and wrong.
fn piece() -> impl Strategy<Value = String> {
    let fixed = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        " ",
        "\n\t",
        "          ",
        "true",
        "false",
        "null",
        "-",
        "0",
        "12",
        ".5",
        "e",
        "E+1",
        "e-07",
        "\\",
        "\\u00",
        "\\u0041",
        "\\ud83d\\ude00",
        "\\ud800",
        "\\n",
        "\\/",
        "\u{1}",
        "\u{7f}",
        "\"a\":",
        "\"\\u0061\":",
        "\"a\"",
        "é",
        "1,",
        "\"b\":1,",
    ];
    prop_oneof![
        8 => prop::sample::select(fixed.to_vec()).prop_map(str::to_owned),
        1 => "\\PC{1,10}",
    ]
}

fn valid() -> impl Strategy<Value = String> {
    let string = || {
        let part = prop::sample::select(vec![
            "a",
            "é",
            "\\u0061",
            "\\\"",
            "\\\\",
            "\\ud83d\\ude00",
            "\\/",
            "01234567",
            "😀",
            "\\u001f",
        ]);
        prop::collection::vec(part, 0..4).prop_map(|parts| format!("\"{}\"", parts.concat()))
    };
    let blank = || prop::sample::select(vec!["", "", "", " ", "\n            ", "\r\t"]);
    let leaf = prop_oneof![
        string(),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
        prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(5, 64, 16, move |inner| {
        let item = (blank(), inner.clone(), blank());
        let item = item.prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let field = (blank(), string(), blank(), blank(), inner, blank())
            .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
        prop_oneof![
            prop::collection::vec(item, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(field, 0..16)
                .prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

#[test]
fn as_deep_as_a_reader_goes() {
    for depth in 120..135 {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        agree(&text).unwrap();
        agree(
            &text
                .replace('[', "[{\"a\":")
                .replace(']', "}]")
                .replace(":}", ":1}"),
        )
        .unwrap();
    }
}

#[test]
fn many_keys_are_told_from_each_other() {
    for count in [2, 12, 13, 300] {
        let field = |n| format!("\"a_long_key_{n}\":{n}");
        let mut fields: Vec<String> = (0..count).map(field).collect();
        agree(&format!("{{{}}}", fields.join(","))).unwrap();
        fields.push("\"a_long_\\u006bey_1\":0".to_owned());
        let text = format!("{{{}}}", fields.join(","));
        assert!(again(&text).unwrap_err().contains("stands twice"), "{text}");
        agree(&text).unwrap();
    }
}

#[test]
fn nothing_is_lost() {
    for text in [
        "12345678901234567890123456789012345678901234567890",
        "-0.10",
        "1e+400",
        "18446744073709551616",
        "9007199254740993",
        r#"{"z":1.10,"a":[null,true,"é\n"],"":{}}"#,
        r#"{"b":1,"a":2,"c":3}"#,
        "\"\"",
        "null",
    ] {
        assert_eq!(again(text).as_deref(), Ok(text));
    }
    assert_eq!(again("1E4").as_deref(), Ok("1e+4"));
    assert_eq!(again("\u{feff} [1 , 2]\n").as_deref(), Ok("[1,2]"));
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    for (text, part) in [
        ("", "empty"),
        (" \n", "empty"),
        ("\u{feff}", "empty"),
        (r#"{"a":1,"a":2}"#, r#"the key "a" stands twice"#),
        (r#"[{"b":{"a":1,"\u0061":2}}]"#, "stands twice"),
        ("[1] x", "trailing characters at line 1 column 5"),
        ("{} {}", "trailing characters"),
        ("{\"a\":}", "expected value"),
        ("[1,]", "trailing comma"),
        ("01", "invalid number"),
        ("NaN", "expected value"),
        ("[1", "EOF while parsing"),
        (r#"{"$serde_json::private::Number":"1"}"#, "reserved"),
        (r#"{"\u0024serde_json::private::Number":"1"}"#, "reserved"),
    ] {
        let error = again(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert!(read(b"\"\xff\"").unwrap_err().contains("it is not UTF-8"));
    assert!(
        read(&b"[".repeat(100_000))
            .unwrap_err()
            .contains("recursion limit")
    );
}

#[test]
fn surrogates_that_stand_alone_are_kept_where_they_can_be() {
    let text = r#"{"a":"\ud800","b":1.10}"#;
    assert_eq!(again(text).as_deref(), Ok(text));
    assert!(read(text.as_bytes()).is_err());
    let wrong = again(r#"["\ud800",]"#).unwrap_err();
    assert!(wrong.contains("trailing comma"), "{wrong}");
}

#[test]
fn no_more_is_written_than_may_be() {
    let document = Document::scan(b"[1,2,3]").unwrap();
    let draft = Draft::Node(document.root());
    assert_eq!(document.write(&draft, 7).unwrap(), b"[1,2,3]");
    assert!(document.write(&draft, 6).is_err());
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_alike(text in "[\\[\\]{}\",:0-9a-c.eE+\\- ]{0,24}") {
        if let Ok(once) = again(&text) {
            prop_assert_eq!(again(&once), Ok(once));
        }
    }

    /// Of what serde_json takes and what it does not, and of how it writes what it took.
    #[test]
    fn a_scan_finds_what_a_reader_copies(pieces in prop::collection::vec(piece(), 0..24)) {
        agree(&pieces.concat())?;
    }

    #[test]
    fn a_scan_of_a_valid_document_finds_all_of_it(text in valid(), cut in any::<usize>(), with in piece()) {
        agree(&text)?;
        let cut = text.floor_char_boundary(cut % (text.len() + 1));
        agree(&format!("{}{with}{}", &text[..cut], &text[cut..]))?;
        agree(&text[..cut])?;
    }
}
