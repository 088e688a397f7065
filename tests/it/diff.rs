//! What a config would change, told before it does and when it has.

use std::process::Command;

use serde_json::Value;

use crate::support::{Launch, SOON, eventually};

const SECRET: &str = "s3cret-of-the-test";

fn config(status: u16, secret: &str) -> String {
    format!(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[upstreams.app]\nendpoints = [\"127.0.0.1:1\"]\n[routes.all]\nmatch = {{ path = \"/here\" }}\nrespond = {{ status = {status} }}\nrate_limit = {{ requests = 10, per = \"1s\" }}\n[routes.pay]\nupstream = \"app\"\ncredentials = {{ bearer = {{ value = \"{secret}\" }} }}\n"
    )
}

/// The exit code of `outrigger diff`, and what it says.
fn diff(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .arg("diff")
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn two_files_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let old = write("old.toml", &config(200, SECRET));
    let new = write("new.toml", &config(204, "another"));
    let (code, said) = diff(&[&old, &new]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(&format!(
            "~ routes.all.respond.status: 200 -> 204   ({new}:7)"
        )),
        "{said}"
    );
    assert!(said.contains("credentials.bearer.value: another secret"));
    assert!(said.contains("kept: routes.all: rate_limit"), "{said}");
    assert!(
        !said.contains(SECRET) && !said.contains("= \"another"),
        "{said}"
    );

    assert_eq!(diff(&[&old, &old]).0, Some(0));
    assert_eq!(diff(&[&old, &write("bad.toml", "x = 1")]).0, Some(2));
    assert_eq!(diff(&[&old]).0, Some(2));
    let (code, said) = diff(&["--json", &old, &new]);
    let told: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &told["same"]), (Some(1), &Value::Bool(false)));
    assert_eq!(told["changes"][0]["key"], "routes.all.respond.status");
    assert_eq!(told["changes"][0]["line"], 7);
}

#[test]
fn what_serves_is_compared_and_a_reload_says_the_same() {
    let mut proxy = Launch::new(config(200, SECRET)).admin_on_tcp().start();
    let folder = tempfile::tempdir().unwrap();
    let new = folder.path().join("new.toml");
    let serving = std::fs::read_to_string(proxy.path("config/main.toml")).unwrap();
    std::fs::write(&new, serving.replace("status = 200", "status = 204")).unwrap();
    let (address, new) = (proxy.admin_address().to_string(), new.to_str().unwrap());
    let before = proxy.metrics().sum("outrigger_config_generation", &[]);
    let (code, said) = diff(&["--admin", &address, new]);
    assert_eq!(code, Some(1), "{said}");
    let told = "~ routes.all.respond.status: 200 -> 204";
    assert!(said.contains(told), "{said}");
    assert_eq!(
        proxy.metrics().sum("outrigger_config_generation", &[]),
        before
    );

    std::fs::write(new, "x = 1").unwrap();
    let (code, said) = diff(&["--admin", &address, new]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("unknown key `x`"), "{said}");
    assert_eq!(proxy.last_error(), "", "nothing was put to use");

    proxy.reload_with(config(204, SECRET));
    eventually(SOON, "the log says what has changed", || {
        let log = proxy.log();
        let mut lines = log
            .lines()
            .filter(|line| line.contains("a new config serves"));
        lines.any(|line| {
            serde_json::from_str::<Value>(line)
                .is_ok_and(|line| line["changes"].as_str() == Some(told))
        })
    });
    assert!(!proxy.log().contains(SECRET));
}
