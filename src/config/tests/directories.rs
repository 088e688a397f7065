//! Configs of several files, and paths in them.

use super::*;

#[test]
fn a_name_in_two_files_is_shown_in_both() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.toml"), GOOD).unwrap();
    fs::write(
        dir.path().join("b.toml"),
        "\n[routes.app]\nupstream = \"app\"\n[routes.b]\nredirect = 1",
    )
    .unwrap();
    let report = load(dir.path()).unwrap_err();
    assert_eq!(
        tell(&report, 0),
        [
            "2:1 `[routes.app]` is in two files",
            "5:12 expected a table, found `1`"
        ]
    );
    let shown = report.to_string();
    for part in ["b.toml:2:1", "a.toml:6:1", "first named here"] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[test]
fn files_of_a_directory_make_one_config() {
    let dir = tempfile::tempdir().unwrap();
    let (base, routes) = GOOD.split_once("[routes").unwrap();
    fs::write(dir.path().join("a.toml"), format!("[routes{routes}")).unwrap();
    fs::write(dir.path().join("b.toml"), base).unwrap();
    let loaded = load(dir.path()).unwrap();
    assert_eq!(
        serde_json::to_value(loaded.config).unwrap(),
        serde_json::to_value(good()).unwrap()
    );
    assert_eq!(loaded.watched.len(), 3);
}

#[test]
fn paths_count_from_the_file_that_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"
        [admin]
        listen = "unix:run/admin.sock"
        probe_listen = "none"
        [listeners.web]
        listen = "unix:web.sock"
        [upstreams.app]
        endpoints = ["unix:./a.sock", { address = "unix:../b.sock" }, "unix:/c.sock", "d:1"]
        [routes.app]
        upstream = "app"
    "#;
    // A link counts as the name that it has, not as the file that it leads to.
    let elsewhere = dir.path().join("elsewhere");
    let conf = dir.path().join("conf");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(&conf).unwrap();
    fs::write(elsewhere.join("a.toml"), text).unwrap();
    std::os::unix::fs::symlink("../elsewhere/a.toml", conf.join("a.toml")).unwrap();
    let config = load(&conf).unwrap().config;
    let shown = serde_json::to_value(&config).unwrap();
    let at = |path: &str| format!("unix:{}/{path}", conf.display());
    assert_eq!(shown["admin"]["listen"], at("run/admin.sock"));
    assert_eq!(shown["admin"]["probe_listen"], "none");
    assert_eq!(shown["listeners"]["web"]["listen"], at("web.sock"));
    assert_eq!(
        shown["upstreams"]["app"]["endpoints"],
        serde_json::json!([at("a.sock"), at("../b.sock"), "unix:/c.sock", "d:1"])
    );
}

#[test]
fn paths_of_text_without_a_file_stay_as_they_are() {
    let config = parse("x.toml", &GOOD.replace("127.0.0.1:0", "unix:web.sock"))
        .unwrap()
        .config;
    let web = &config.listeners[&"web".parse().unwrap()];
    assert_eq!(web.config.listen.to_string(), "unix:web.sock");
}

#[test]
fn a_path_without_a_config_is_an_error() {
    let report = load(Path::new("/nowhere/at/all")).unwrap_err();
    assert_eq!(report.errors(), 1);
    assert_eq!(
        report.first_line(),
        "/nowhere/at/all: there is no config at this path"
    );
    assert!(report.to_string().contains("OUTRIGGER_CONFIG"));
}

#[test]
fn the_reference_and_the_examples_are_good() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let examples = fs::read_dir(config.join("examples")).unwrap();
    let examples = examples.map(|entry| entry.unwrap().path());
    for path in examples.chain([config.join("outrigger.toml")]) {
        let loaded = load(&path).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    }
}
