//! Whole configs: what is found wrong, and at which place.

use std::fs;

use super::*;
use crate::admin;
use crate::policy::timeout::{Idle, UntilHead};
use crate::value::{Limit, Name, Toggle};

/// The end of a config that is good so far.
const GOOD: &str = r#"
[listeners.web]
listen = "127.0.0.1:0"
[upstreams.app]
endpoints = ["127.0.0.1:8080"]
[routes.app]
upstream = "app"
"#;

fn good() -> Config {
    parse("good.toml", GOOD).unwrap().config
}

/// Line, column and message of everything that is wrong.
fn wrong(text: &str) -> Vec<String> {
    match parse("x.toml", text) {
        Ok(loaded) => tell(&loaded.warnings, 0),
        Err(report) => tell(&report, 0),
    }
}

/// The lines before `start` are not counted.
fn tell(report: &Report, start: usize) -> Vec<String> {
    let tell = |d: &Problem| match d.position {
        Some(p) => format!("{}:{} {}", p.line - start, p.column, d.message),
        None => d.message.clone(),
    };
    report.problems().map(tell).collect()
}

#[test]
fn a_good_config_is_read_whole() {
    let config = good();
    let names = |names: Vec<&Name>| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!(names(config.listeners.keys().collect()), ["web"]);
    assert_eq!(names(config.upstreams.keys().collect()), ["app"]);
    assert_eq!(names(config.routes.keys().collect()), ["app"]);
    assert_eq!(config.admin.config, admin::Config::default());
    let loaded = parse("good.toml", GOOD).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert_eq!(loaded.content.hash.len(), 32);
}

#[test]
fn defaults_go_where_a_route_says_nothing() {
    let text = format!(
        "{GOOD}deadline = false\nidle_timeout = \"1m\"\n[defaults]\ntimeout = \"3s\"\n\
         deadline = \"9s\"\nidle_timeout = \"2m\""
    );
    let config = parse("x.toml", &text).unwrap().config;
    let policies = &config.routes[&"app".parse().unwrap()].policies.config;
    assert_eq!(
        policies.timeout,
        Some(Toggle::On(UntilHead(Limit::from_secs(3))))
    );
    assert_eq!(
        policies.idle_timeout,
        Some(Toggle::On(Idle(Limit::from_secs(60))))
    );
    assert_eq!(policies.deadline, Some(Toggle::Off));
}

#[test]
fn a_route_is_shown_as_one_table() {
    let shown = serde_json::to_value(good()).unwrap();
    assert_eq!(shown["routes"]["app"]["upstream"], "app");
    assert_eq!(shown["routes"]["app"]["timeout"], "15s");
    assert_eq!(shown["routes"]["app"]["idle_timeout"], "5m");
    assert_eq!(shown["admin"]["listen"], "127.0.0.1:15000");
}

/// `problems.txt`: pieces of config that follow a good one, each with how its problems begin and, behind
/// `=>`, part of the help. Lines count from the start of the piece.
#[test]
fn every_problem_is_at_its_place() {
    let before = GOOD.lines().count();
    let mut misjudged = String::new();
    for case in include_str!("problems.txt").split("\n\n") {
        let (expected, text): (Vec<_>, Vec<_>) =
            case.lines().partition(|line| line.starts_with("> "));
        let text = format!("{GOOD}{}", text.join("\n"));
        let report = match parse("x.toml", &text) {
            Ok(loaded) => loaded.warnings,
            Err(report) => report,
        };
        let found = tell(&report, before);
        let helps = report.problems().map(|d| d.help.as_deref());
        let all_match = found
            .iter()
            .zip(helps)
            .zip(&expected)
            .all(|((f, help), e)| {
                let (message, part) = e[2..].split_once(" => ").unwrap_or((&e[2..], ""));
                f.starts_with(message) && help.unwrap_or_default().contains(part)
            });
        if !all_match || found.len() != expected.len() {
            misjudged.push_str(&format!("{case}\n\n{report}\n\n"));
        }
    }
    assert!(misjudged.is_empty(), "{misjudged}");
}

#[test]
fn what_is_missing_altogether_is_told() {
    assert_eq!(
        wrong(""),
        ["there is no listener, so nothing would be served"]
    );
    assert_eq!(
        wrong("routes = 5\n[listeners.a]\nlisten = \"unix:/a\"")[0],
        "1:10 expected tables `[routes.NAME]`, found a number"
    );
    assert_eq!(wrong("admin = []")[0], "1:9 expected a table, found a list");
    assert_eq!(
        wrong("[listeners.a]\nlisten = \"unix:/a\""),
        ["1:1 no route serves this listener: every request gets 404"]
    );
}

#[test]
fn a_broken_block_raises_no_further_doubts() {
    let text = "[listeners.a]\nlisten = 5\n[upstreams.b]\nendpoints = 5\n[routes.c]\nupstream = \"b\"\nlistener = \"a\"\nmatch.path = 1";
    assert_eq!(
        wrong(text),
        [
            "2:10 expected an address such as \"127.0.0.1:15001\", found `5`",
            "4:13 expected a list, found `5`",
            "8:14 expected text, found `1`",
        ]
    );
}

#[test]
fn the_report_shows_the_line() {
    let text = format!(
        "{}timout = \"1s\"\n[upstreams.ap]\nendpoints = 1\n[routes.x]\nupstream = \"appp\"\nmatch.path = \"/x\"\n",
        &GOOD[1..]
    );
    let report = parse("conf/x.toml", &text).unwrap_err();
    assert_eq!(report.errors(), 3);
    assert_eq!(
        report.to_string(),
        "\
error: unknown key `timout`, did you mean `timeout`?
 --> conf/x.toml:7:1
  |
7 | timout = \"1s\"
  | ^^^^^^

error: expected a list, found `1`
 --> conf/x.toml:9:13
  |
9 | endpoints = 1
  |             ^
  |
  = help: write it in brackets, like `[\"...\"]`

error: there is no upstream `appp`, did you mean `app`?
  --> conf/x.toml:11:12
   |
 3 | [upstreams.app]
   |            --- this one
...
11 | upstream = \"appp\"
   |            ^^^^^^"
    );
    assert_eq!(
        report.first_line(),
        "conf/x.toml:7:1: unknown key `timout`, did you mean `timeout`? (and 2 more)"
    );
}

#[test]
fn help_stands_below() {
    let report = parse("x.toml", &format!("{GOOD}[tracing]\nendpoint = \"x\"")).unwrap_err();
    assert_eq!(
        report.to_string(),
        "\
error: `tracing` is known, but not built yet in this version
 --> x.toml:8:2
  |
8 | [tracing]
  |  ^^^^^^^
  |
  = help: remove it"
    );
    assert!(report.coloured().contains("\u{1b}["));
}

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

#[test]
fn a_problem_names_its_key() {
    let text = format!("{GOOD}timout = \"1s\"\nretry = {{ attempts = 99 }}\n");
    let report = parse("x.toml", &text).unwrap_err();
    let keys: Vec<_> = report.problems().map(|d| d.key.as_str()).collect();
    assert_eq!(keys, ["routes.app.timout", "routes.app.retry.attempts"]);
}

#[test]
fn another_language_is_told_once() {
    let yaml = "# a\nlisteners:\n  web:\n    listen: 127.0.0.1:80\n    token: hunter2\n";
    assert_eq!(
        wrong(yaml),
        ["2:1 this looks like YAML, and a config is written in TOML"]
    );
    assert!(wrong("{ \"a\": 1 }")[0].contains("looks like JSON"));
}

#[test]
fn the_defaults_that_depend_are_filled_in() {
    let shown = serde_json::to_value(good()).unwrap();
    assert!(shown["process"]["workers"].as_u64().is_some_and(|n| n > 0));
    assert!(shown["log"]["format"].is_string());
    assert_eq!(shown["listeners"]["web"]["forwarded_headers"], "pass");
    assert_eq!(shown["routes"]["app"]["deadline"], "none");
    let route = shown["routes"]["app"].as_object().unwrap();
    assert!(!route.contains_key("listener"), "{route:?}");
}

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

#[test]
fn nesting_without_end_is_refused() {
    for piece in ["a.", "[", "{a="] {
        assert!(parse("x.toml", &format!("a = {}", piece.repeat(100_000))).is_err());
        assert!(parse("x.toml", &format!("{}a = 1", piece.repeat(100_000))).is_err());
    }
}

mod never_panics {
    use proptest::prelude::*;

    use super::*;

    fn survives(bytes: &[u8]) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.toml");
        fs::write(&file, bytes).unwrap();
        match load(&file) {
            Ok(loaded) => assert_eq!(loaded.warnings.errors(), 0),
            Err(report) => {
                assert!(report.errors() > 0);
                assert!(!report.to_string().is_empty());
                assert!(!report.first_line().is_empty());
            }
        }
    }

    /// A good config with some of its bytes replaced by others that mean something in TOML.
    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let text = include_bytes!("../../config/outrigger.toml");
        let signs = prop::sample::select(b"[]{}=\".,'#\n\r\t 0aZ_-\x00\xc3\xff".to_vec());
        prop::collection::vec((0..text.len(), signs, 0..4usize), 1..12).prop_map(move |edits| {
            let mut bytes = text.to_vec();
            for (at, sign, gone) in edits {
                let at = at.min(bytes.len());
                let end = (at + gone).min(bytes.len());
                bytes.splice(at..end, [sign]);
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            survives(&bytes);
        }

        #[test]
        fn on_anything_like_toml(text in "[\\[\\]{}=\".,'#\n a-c_0-9é-]{0,120}") {
            survives(text.as_bytes());
        }

        #[test]
        fn on_a_config_with_slips(bytes in mutated()) {
            survives(&bytes);
        }
    }
}
