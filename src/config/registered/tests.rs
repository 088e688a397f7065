use std::fs;
use std::path::PathBuf;

use super::*;
use crate::admin::Format;
use crate::config::load;

const BASE: &str = r#"
[admin]
writable_dir = "registered"
[listeners.web]
listen = "127.0.0.1:15001"
[upstreams.app]
endpoints = ["127.0.0.1:8080"]
[routes.app]
upstream = "app"
"#;

const HELLO: &str = "[routes.hello]\nmatch = { path = \"/hello\" }\nrespond = {}\n";

/// A config with a directory for what is registered.
struct Scene {
    directory: tempfile::TempDir,
}

impl Scene {
    fn new(base: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("main.toml"), base).unwrap();
        Scene { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("main.toml")
    }

    fn put(&self, file: &str, text: &str) {
        let registered = self.directory.path().join("registered");
        fs::create_dir_all(&registered).unwrap();
        fs::write(registered.join(file), text).unwrap();
    }

    fn try_out(&self, changes: &[Change]) -> Result<Fit, Unfit> {
        try_out(&self.path(), changes, |_| Ok(()))
    }
}

fn change(kind: Kind, name: &str, text: Option<&str>) -> Change {
    Change {
        kind,
        name: name.parse().unwrap(),
        text: text.map(str::to_owned),
    }
}

fn hello() -> Change {
    change(Kind::Route, "hello", Some(HELLO))
}

#[test]
fn what_was_registered_is_part_of_the_config() {
    let scene = Scene::new(BASE);
    assert_eq!(load(&scene.path()).unwrap().config.routes.len(), 1);
    scene.put("route-hello.toml", HELLO);
    scene.put(".route-half.toml.new", "[routes.ha");
    let loaded = load(&scene.path()).unwrap();
    assert_eq!(loaded.config.routes.len(), 2);
    let registered = scene.directory.path().join("registered");
    assert!(loaded.watched.contains(&registered));
    assert_eq!(
        *loaded.content.registered,
        [("route-hello.toml".to_owned(), etag(HELLO))].into()
    );
    // The same where the config is a directory, which does not have to be told twice.
    let whole = load(scene.directory.path()).unwrap();
    assert_eq!(whole.config.routes.len(), 2);
    let same = Scene::new(&BASE.replace("\"registered\"", "\".\""));
    fs::write(same.directory.path().join("route-hello.toml"), HELLO).unwrap();
    let loaded = load(same.directory.path()).unwrap();
    assert_eq!(loaded.config.routes.len(), 2);
    assert_eq!(loaded.content.registered.len(), 1);
}

#[test]
fn what_is_wrong_there_is_shown_at_its_place() {
    let scene = Scene::new(BASE);
    scene.put("route-hello.toml", "[routes.hello]\nresponed = {}\n");
    let report = load(&scene.path()).unwrap_err();
    let first = report.first().unwrap();
    assert!(
        first.file.ends_with("registered/route-hello.toml"),
        "{first}"
    );
    assert_eq!(first.position.unwrap().line, 2);
}

#[test]
fn a_change_is_tried_out_without_a_trace() {
    let scene = Scene::new(BASE);
    let fit = scene.try_out(&[hello()]).unwrap();
    assert_eq!(fit.directory, scene.directory.path().join("registered"));
    assert_eq!(fit.before, [None]);
    assert!(!fit.directory.exists());
    scene.put("route-hello.toml", HELLO);
    let other = HELLO.replace("{}", "{ status = 204 }");
    let fit = scene.try_out(&[change(Kind::Route, "hello", Some(&other))]);
    assert_eq!(fit.unwrap().before, [Some(HELLO.to_owned())]);
    let gone = scene.try_out(&[change(Kind::Route, "hello", None)]);
    assert_eq!(gone.unwrap().before, [Some(HELLO.to_owned())]);
}

#[test]
fn what_check_refuses_is_refused_with_its_report() {
    let scene = Scene::new(BASE);
    let wrong = "[routes.hello]\nmatch = { path = \"/hello\" }\nupstream = \"ap\"\n";
    let refused = scene.try_out(&[change(Kind::Route, "hello", Some(wrong))]);
    let Err(Unfit::Wrong(report)) = refused else {
        panic!("{refused:?}");
    };
    assert!(
        report.to_string().contains("did you mean `app`?"),
        "{report}"
    );
    // What others need cannot go.
    scene.put(
        "upstream-more.toml",
        "[upstreams.more]\nendpoints = [\"127.0.0.1:1\"]\n",
    );
    scene.put(
        "route-more.toml",
        "[routes.more]\nmatch = { path = \"/more\" }\nupstream = \"more\"\n",
    );
    let gone = scene.try_out(&[change(Kind::Upstream, "more", None)]);
    assert!(matches!(gone, Err(Unfit::Wrong(_))), "{gone:?}");
    let both = [Kind::Route, Kind::Upstream].map(|kind| change(kind, "more", None));
    assert!(scene.try_out(&both).is_ok());
}

#[test]
fn what_somebody_has_written_is_left_to_them() {
    let scene = Scene::new(BASE);
    for text in [Some("[routes.app]\nrespond = {}\n"), None] {
        let refused = scene.try_out(&[change(Kind::Route, "app", text)]);
        let Err(Unfit::ByHand(place)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(place, format!("{}:8", scene.path().display()));
    }
    // A file of such a name that holds more than that.
    scene.put(
        "route-hello.toml",
        &format!("{HELLO}[routes.more]\nredirect = {{ location = \"/\" }}\n"),
    );
    let refused = scene.try_out(&[hello()]);
    assert!(matches!(refused, Err(Unfit::ByHand(_))), "{refused:?}");
}

#[test]
fn without_a_directory_nothing_can_be_registered() {
    let scene = Scene::new(&BASE.replace("writable_dir = \"registered\"", ""));
    let refused = scene.try_out(&[hello()]);
    assert!(matches!(refused, Err(Unfit::NoDirectory)), "{refused:?}");
}

#[test]
fn a_directory_that_is_none_is_an_error() {
    let scene = Scene::new(&BASE.replace("\"registered\"", "\"main.toml\""));
    let report = load(&scene.path()).unwrap_err();
    let said = report.first_line();
    assert!(
        said.contains("cannot read the directory of `admin.writable_dir`"),
        "{said}"
    );
}

#[test]
fn keys_are_put_under_the_name() {
    let name = "a".parse().unwrap();
    let written = |format, body: &str| text_of(Kind::Route, &name, format, body.as_bytes());
    let toml = |body| written(Format::Toml, body).unwrap();
    let json = |body| written(Format::Json, body).unwrap();
    assert_eq!(
        toml("# why\nupstream = \"b\""),
        "[routes.a]\n# why\nupstream = \"b\"\n"
    );
    let whole = "# why\n[routes.a]\nupstream = \"b\"\n[routes.a.match]\npath = \"/\"\n";
    assert_eq!(toml(whole), whole);
    let nested = toml("upstream = \"b\"\n[match]\npath = \"/\"\n[match.headers]\nx = \"*\"\n");
    let read: toml::Table = toml::from_str(&nested).unwrap();
    assert_eq!(
        read["routes"]["a"]["match"]["headers"]["x"].as_str(),
        Some("*"),
        "{nested}"
    );
    let text = json(
        r#"{"upstream":"b\"\u007f\n","match":{"path":"/é","methods":["GET"]},"retry":false,"x y":1.5}"#,
    );
    let read: toml::Table = toml::from_str(&text).unwrap();
    let route = &read["routes"]["a"];
    assert_eq!(route["upstream"].as_str(), Some("b\"\u{7f}\n"));
    assert_eq!(route["match"]["path"].as_str(), Some("/é"));
    assert_eq!(route["match"]["methods"][0].as_str(), Some("GET"));
    assert_eq!(
        (route["retry"].as_bool(), route["x y"].as_float()),
        (Some(false), Some(1.5))
    );
    for (format, body) in [
        (Format::Toml, "upstream = "),
        (Format::Json, "[]"),
        (Format::Json, "{\"retry\": null}"),
        (Format::Json, "{"),
    ] {
        assert!(written(format, body).is_err(), "{body}");
    }
    assert!(text_of(Kind::Route, &name, Format::Toml, b"\xff").is_err());
}

#[test]
fn nothing_of_another_name_can_be_written() {
    let name = "a".parse().unwrap();
    let body = "[routes.b]\nrespond = {}\n";
    let text = text_of(Kind::Route, &name, Format::Toml, body.as_bytes()).unwrap();
    // It stands below the name, where it is an unknown key.
    let read: toml::Table = toml::from_str(&text).unwrap();
    assert_eq!(read["routes"].as_table().unwrap().len(), 1, "{text}");
    assert!(read["routes"]["a"]["routes"]["b"].is_table());
}
