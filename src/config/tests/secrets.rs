//! Secrets in a config that is wrong.

use super::*;

#[test]
fn secrets_are_not_shown() {
    let text = format!("{GOOD}credentials = {{ bearer = {{ value = \"hunter2\" }} }}");
    let loaded = parse("x.toml", &text).unwrap();
    let shown = serde_json::to_string(&loaded.config).unwrap();
    assert!(
        shown.contains("[redacted]") && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert_eq!(loaded.warnings.warnings(), 1);
    let wrong = format!("{text}\nbearer = \"hunter2\"");
    for report in [loaded.warnings, parse("x.toml", &wrong).unwrap_err()] {
        assert!(report.to_string().contains("bearer"), "{report}");
        assert!(!report.to_string().contains("hunter2"), "{report}");
        assert!(!format!("{report:?}").contains("hunter2"));
    }
}

/// A credential may stand in a header that is set or asked for; what only hands on what a caller sent is none.
#[test]
fn credentials_in_headers_are_not_shown() {
    let text = format!(
        "{GOOD}request = {{ set_headers = {{ Authorization = \"Bearer hunter2\", x-token = \"${{header.x-t}}\" }}, \
         add_headers = {{ x-api-key = \"hunter2\", x-tenant = \"acme\" }} }}\n\
         [routes.keyed]\nrespond = {{ status = 200 }}\n\
         match = {{ headers = {{ cookie = {{ regex = \"hunter2\" }}, x-api-key = \"hunter2\", x-secret = \"*\" }} }}"
    );
    let shown = serde_json::to_value(&parse("x.toml", &text).unwrap().config).unwrap();
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    let request = &shown["routes"]["app"]["request"];
    assert_eq!(request["set_headers"]["Authorization"], "[redacted]");
    assert_eq!(request["set_headers"]["x-token"], "${header.x-t}");
    assert_eq!(request["add_headers"]["x-tenant"], "acme");
    assert_eq!(
        shown["routes"]["keyed"]["match"]["headers"]["x-secret"],
        "*"
    );
}

/// Whatever the slip, neither the lines shown nor the sentences repeat what stands in a credential.
#[test]
fn a_slip_in_a_credential_does_not_show_the_secret() {
    for slip in [
        "credentials = { bearer = { valeu = \"hunter2\" } }",
        "credentials = { bearer = [\"hunter2\"] }",
        "credentials = { bearer = { file = [\"hunter2\"] } }",
        "credentials = { basic = { username = \"u\", passwd = \"hunter2\" } }",
        "credentials = { basic = \"hunter2\" }",
        "credentials = \"hunter2\"",
        "request = { set_headers = { authorization = \"hunter2\\u0001\" } }",
        "credentials = [\"hunter2\"]",
        "credentials = { oauth2 = { token_url = \"https://me:hunter2@idp/\" } }",
        "credentials = { oauth2 = { auth_style = \"basic\", scopes = [\"hunter2 x\"], client_id = \"hunter2\" } }",
        "credentials = { bearer = 52012 }",
        "credentials = { bearer = 99999999999999952012 }",
        "credentials = { basic = 52012 }",
        "credentials = { basic = { username = 52012, password = 52012.5 } }",
        "credentials = { api_key = { header = \"x-key\", value = { value = 52012 } } }",
        "credentials.bearer.valeu = \"\"\"\nhunter2\"\"\"",
        "credentials = { bearer = { valeu: \"hunter2\" } }",
        "credentials = { bearer = { \"hunter2\" } }",
        "[routes.app.credentials]\nbaerer = \"hunter2\"",
        "[[routes.app.credentials]]\nbearer = \"hunter2\"",
        "[routes.app.credentials.bearer]\nhunter = \"hunter2\"\nother: hunter2",
        "[defaults]\ncredentials = { bearer = { valeu = \"hunter2\" } }",
        "jwt = { secert = \"hunter2\" }",
        "[upstreams.x]\nendpoints = [\"http://me:hunter2@a:1\", \"me:hunter2@b:2\"]",
    ] {
        let report = parse("x.toml", &format!("{GOOD}{slip}\n")).unwrap_err();
        let told = format!("{report}\n{}\n{report:?}", report.first_line());
        assert!(
            !told.contains("hunter2") && !told.contains("52012"),
            "{told}"
        );
        assert!(report.errors() > 0);
    }
}

/// A secret is struck out wherever it is read, whatever its key is called.
#[test]
fn what_is_read_as_a_secret_is_struck_out() {
    let text = "[a]\nk = { value = \"x\", valu = \"hunter2\", file = \"f\" }\n";
    let files = files::Files::from_text("x.toml", text);
    let parsed = parse::parse(&files.sources);
    let node = parsed.root.at(&["a".to_owned(), "k".to_owned()]).unwrap();
    let read: Result<crate::value::Secret, _> = de::read(node, &files.sources);
    assert!(read.is_err());
    let mut source = files.sources.into_iter().next().unwrap();
    source.strike_out();
    assert!(!source.shown().contains("hunter2") && source.shown().contains("\"f\""));
}
