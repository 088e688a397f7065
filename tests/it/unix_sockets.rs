//! Who may connect to a unix listener.

use std::os::unix::fs::MetadataExt;

use crate::support::{Client, Origin, Proxy, SOON, Setup, eventually};

fn setup(origin: &Origin, lines: &str) -> String {
    let listener = format!("[listeners.app]\nlisten = \"unix:../app.sock\"\n{lines}\n");
    Setup::to(origin).also(listener).toml()
}

#[test]
fn a_unix_listener_has_the_mode_and_group_that_it_is_given() {
    let origin = Origin::start();
    let mut proxy = Proxy::start(&setup(&origin, "mode = \"0622\""));
    let path = proxy.path("app.sock");
    let file = || std::fs::metadata(&path).unwrap();
    let mode = || file().mode() & 0o777;
    assert_eq!(mode(), 0o622);
    let group = file().gid();
    proxy.reload_with(setup(&origin, &format!("group = \"{group}\"")));
    assert_eq!(mode(), 0o660);
    assert_eq!(file().gid(), group);
    // Both workers have let go of the old socket when this one is served.
    eventually(SOON, "the new socket is served", || {
        Client::try_unix(&path).is_ok_and(|mut client| client.get("/").status == 200)
    });
    let why = proxy.reload_refused(setup(&origin, "group = \"no-such-group\""));
    assert!(why.contains("there is no group `no-such-group`"), "{why}");
    assert_eq!(mode(), 0o660);
    eventually(SOON, "the old socket is served", || {
        Client::try_unix(&path).is_ok_and(|mut client| client.get("/").status == 200)
    });
}

#[test]
fn a_tcp_listener_has_no_mode() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let why = proxy.reload_refused(Setup::to(&origin).listener("mode = \"0660\"").toml());
    assert!(why.contains("only a unix socket has this"), "{why}");
}
