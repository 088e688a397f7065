use super::*;

#[test]
fn headers_of_the_connection_are_out_of_reach() {
    let config: RequestConfig = toml::from_str(
        r#"
        set_headers = { Host = "x", x-fine = "1", Content-Length = "3" }
        add_headers = { connection = "close" }
        remove_headers = ["ok", "transfer-encoding"]"#,
    )
    .unwrap();
    let mut problems = Problems::default();
    config.check(&mut problems);
    let mut places: Vec<_> = problems
        .into_vec()
        .into_iter()
        .map(|p| p.at.join("."))
        .collect();
    places.sort();
    assert_eq!(
        places,
        [
            "add_headers.connection",
            "remove_headers.1",
            "set_headers.Content-Length",
            "set_headers.Host"
        ]
    );
}

#[test]
fn steps_that_hide_something_are_asked_about_errors() {
    for (text, places) in [
        (
            "body = [{ wrap = \"a\" }, { remove = [\"b\"] }]",
            &["body.1.remove"][..],
        ),
        ("body = [{ remove = [\"b\"] }]\non_status = \"any\"", &[]),
        ("body = [{ remove = [\"b\"] }]\non_status = [\"2xx\"]", &[]),
        ("body = [{ wrap = \"a\" }]", &[]),
        ("on_status = \"any\"", &["on_status"]),
        ("on_status = \"any\"\nrequire_json = true", &[]),
        ("body = [{ wrap = \"a\" }]\non_status = []", &["on_status"]),
        ("max_body = \"1KiB\"", &["max_body"]),
        ("set_headers = { a = \"b \" }", &["set_headers.a"]),
    ] {
        let config: ResponseConfig = toml::from_str(text).unwrap();
        let mut problems = Problems::default();
        config.check(&mut problems);
        let found: Vec<_> = problems.into_vec().iter().map(|p| p.at.join(".")).collect();
        assert_eq!(found, places, "{text}");
    }
    for wrong in [
        "on_status = \"1xx\"",
        "on_status = 404",
        "on_status = [\"ok\"]",
    ] {
        assert!(toml::from_str::<ResponseConfig>(wrong).is_err(), "{wrong}");
    }
}
