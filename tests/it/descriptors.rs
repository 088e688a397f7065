//! What works when callers have as many connections open as the process may have files.

use crate::support::{Client, Launch, Origin, SOON, Setup, eventually};

#[test]
fn the_soft_limit_is_raised_to_the_hard_one() {
    let proxy = Launch::new(Setup::to(&Origin::start()).toml())
        .open_files(64, 512)
        .start();
    assert_eq!(proxy.metrics().sum("process_max_fds", &[]), 512.0);
}

#[test]
fn idle_callers_do_not_take_the_last_descriptors() {
    let origin = Origin::start();
    let mut proxy = Launch::new(Setup::to(&origin).toml())
        .open_files(256, 256)
        .probes()
        .start();
    let mut first = proxy.client();
    let idle: Vec<Client> = (0..400).map(|_| proxy.client()).collect();
    eventually(SOON, "callers wait", || {
        proxy.log().contains("callers wait: almost")
    });
    assert_eq!(proxy.probe_client().get("/readyz").status, 200);
    assert!(
        proxy
            .probe_client()
            .get("/metrics")
            .text()
            .contains("process_open_fds")
    );
    assert_eq!(
        first.get("/").status,
        200,
        "there is a connection left to the upstream"
    );
    // A changed config is read and serves.
    let other = Setup::to(&origin).route("timeout = \"9s\"");
    proxy.reload_with(other.toml());
    drop(idle);
    assert_eq!(proxy.get("/").status, 200);
    let told = proxy.log().matches("callers wait: almost").count();
    assert_eq!(told, 1, "it is told once in a while");
}

#[test]
fn a_listener_that_may_have_more_connections_than_files_is_a_warning() {
    let proxy = Launch::new(Setup::to(&Origin::start()).toml())
        .open_files(256, 256)
        .start();
    assert!(proxy.log().contains("may have no more than 256 files open"));
    let setup = Setup::to(&Origin::start()).listener("max_connections = 100");
    let proxy = Launch::new(setup.toml()).open_files(256, 256).start();
    assert!(!proxy.log().contains("files open"));
}
