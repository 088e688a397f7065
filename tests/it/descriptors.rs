//! What works when callers have as many connections open as the process may have files.

use crate::support::{Client, Gate, Launch, Origin, SOON, Script, Setup, eventually};

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
    eventually(SOON, "it is told", || {
        proxy.log().contains("may have no more than 256 files open")
    });
    let setup = Setup::to(&Origin::start()).listener("max_connections = 100");
    let proxy = Launch::new(setup.toml()).open_files(256, 256).start();
    eventually(SOON, "it serves, which is told last", || {
        proxy.log().contains("\"listening\"")
    });
    assert!(!proxy.log().contains("files open"));
}

#[test]
fn an_upstream_is_not_blamed_for_a_lack_of_descriptors() {
    let gate = Gate::new();
    let slow = Script::at_head().wait(&gate).answering("200 OK", "late");
    let origin = Origin::start().on("/slow", slow);
    let setup = Setup::to(&origin).upstream("health_check = { tcp = true, interval = \"40ms\" }");
    let proxy = Launch::new(setup.toml())
        .open_files(256, 256)
        .probes()
        .start();
    let mut callers: Vec<Client> = (0..140).map(|_| proxy.client()).collect();
    eventually(SOON, "all are accepted", || {
        proxy.metrics().sum("outrigger_downstream_connections", &[]) == 140.0
    });
    for caller in &mut callers {
        caller.send_request("GET", "/slow", &[], "");
    }
    eventually(SOON, "some are refused", || {
        let overloaded = [("reason", "overloaded")];
        proxy.metrics().sum("outrigger_refused_total", &overloaded) > 0.0
    });
    assert_eq!(proxy.probe_client().get("/readyz").status, 200);
    gate.open();
    let answers = callers.iter_mut().map(Client::read_answer);
    let (good, refused): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
    assert!(!good.is_empty());
    for answer in refused {
        answer.assert_refused(503, "overloaded");
    }
    drop(callers);
    assert_eq!(proxy.get("/").status, 200);
    let metrics = proxy.metrics();
    for counted in [
        "outrigger_upstream_connects_total",
        "outrigger_health_checks_total",
    ] {
        assert_eq!(
            metrics.sum(counted, &[("result", "failed")]),
            0.0,
            "{counted}"
        );
    }
}
