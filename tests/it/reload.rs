//! A config that changes while it serves.

use std::net::TcpListener;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{
    Client, Gate, H2Client, H2Origin, Launch, Origin, Proxy, SOON, Script, Setup, eventually,
};

/// The contract's limit, from the write to the first request under the new config.
const LIVE: Duration = Duration::from_secs(1);

/// One listener, and a route that answers with this text.
fn saying(text: &str) -> String {
    format!(
        "[listeners.main]\nlisten = \"127.0.0.1:0\"\n[routes.all]\nrespond = {{ body = \"{text}\" }}\n"
    )
}

fn reloads(proxy: &Proxy) -> f64 {
    proxy.metrics().sum("outrigger_config_reloads_total", &[])
}

fn last_successful(proxy: &Proxy) -> f64 {
    proxy
        .metrics()
        .sum("outrigger_config_last_reload_successful", &[])
}

#[test]
fn a_changed_route_serves_within_a_second() {
    let mut proxy = Proxy::start(&saying("one"));
    let address = proxy.address();
    assert_eq!(proxy.get("/").text(), "one");
    proxy.write_config(saying("two"));
    eventually(LIVE, "the new route serves", || {
        Client::tcp(address).get("/").text() == "two"
    });
    assert_eq!(
        proxy.address(),
        address,
        "a listener that did not change keeps its port"
    );
}

#[test]
fn a_broken_config_is_kept_out_and_its_place_is_reported() {
    let mut proxy = Proxy::start(&saying("one"));
    for (broken, line) in [
        (format!("{}respnd = 1\n", saying("x")), 5),
        ("[listeners.main\n".to_owned(), 1),
        (saying("x").replace("127.0.0.1:0", "nowhere"), 2),
        (
            saying("x").replace("respond = ", "timeout = \"fast\"\nrespond = "),
            4,
        ),
        (
            saying("x").replace("respond = { body = \"x\" }", "upstream = \"none\""),
            4,
        ),
    ] {
        let error = proxy.reload_refused(&broken);
        assert!(error.contains(&format!("main.toml:{line}:")), "{error}");
        assert_eq!(proxy.get("/").text(), "one");
    }
    assert_eq!(last_successful(&proxy), 0.0);
    proxy.reload_with(saying("two"));
    assert_eq!(proxy.get("/").text(), "two");
    assert_eq!(last_successful(&proxy), 1.0);
}

#[test]
fn each_reload_is_counted_and_has_its_generation() {
    let mut proxy = Proxy::start(&saying("0"));
    let (generation, counted) = (proxy.generation(), reloads(&proxy));
    for number in 1..=3 {
        proxy.reload_with(saying(&number.to_string()));
    }
    assert_eq!(proxy.generation(), generation + 3);
    assert_eq!(reloads(&proxy), counted + 3.0);
    assert_eq!(
        proxy.metrics().sum("outrigger_config_generation", &[]),
        proxy.generation() as f64
    );
}

#[test]
fn of_many_quick_changes_the_last_one_serves() {
    let mut proxy = Proxy::start(&saying("0"));
    for number in 1..=20 {
        proxy.write_config(saying(&number.to_string()));
    }
    eventually(LIVE, "the last one serves", || {
        proxy.get("/").text() == "20"
    });
}

#[test]
fn a_listener_is_added_and_removed_live() {
    let mut proxy = Proxy::start(&saying("one"));
    let both = format!(
        "{}[listeners.second]\nlisten = \"127.0.0.1:0\"\n",
        saying("one")
    );
    proxy.reload_with(both);
    let second = proxy.address_of("second").unwrap().parse().unwrap();
    let mut kept = Client::tcp(second);
    assert_eq!(kept.get("/").text(), "one");
    proxy.reload_with(saying("one"));
    assert_eq!(proxy.address_of("second"), None);
    eventually(SOON, "nobody listens there", || {
        Client::try_tcp(second).is_err()
    });
    assert!(kept.closes_within(SOON), "its idle connections are closed");
    assert_eq!(proxy.get("/").text(), "one");
}

#[test]
fn a_listener_moves_to_another_address() {
    let mut proxy = Proxy::start(&saying("one"));
    let old = proxy.address();
    proxy.reload_with(saying("one").replace("127.0.0.1:0", "127.0.0.2:0"));
    assert_eq!(proxy.address().ip().to_string(), "127.0.0.2");
    assert_eq!(proxy.get("/").text(), "one");
    eventually(SOON, "nobody listens at the old address", || {
        Client::try_tcp(old).is_err()
    });
}

#[test]
fn a_request_on_a_removed_listener_finishes() {
    let gate = Gate::new();
    let origin = Origin::start().on("/", Script::new().wait(&gate).answering("200 OK", "whole"));
    let two = Setup::to(&origin).also("[listeners.second]\nlisten = \"127.0.0.1:0\"\n");
    let mut proxy = Proxy::with(&two);
    let mut client = Client::tcp(proxy.address_of("second").unwrap().parse().unwrap());
    client.send_request("GET", "/", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    proxy.reload_with(Setup::to(&origin).toml());
    gate.open();
    assert_eq!(client.read_answer().text(), "whole");
    assert!(client.closes_within(SOON));
}

#[test]
fn a_request_on_a_removed_listener_finishes_before_the_process_ends() {
    let gate = Gate::new();
    let origin = Origin::start().on("/", Script::new().wait(&gate).answering("200 OK", "whole"));
    let two = Setup::to(&origin).also("[listeners.second]\nlisten = \"127.0.0.1:0\"\n");
    let mut proxy = Proxy::with(&two);
    let mut client = Client::tcp(proxy.address_of("second").unwrap().parse().unwrap());
    client.send_request("GET", "/", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    proxy.reload_with(Setup::to(&origin).toml());
    proxy.terminate();
    eventually(SOON, "the proxy drains", || !proxy.is_ready());
    gate.open();
    assert_eq!(client.read_answer().text(), "whole");
    assert_eq!(proxy.wait_exit(SOON).code(), Some(0), "{}", proxy.log());
}

#[test]
fn an_address_that_was_given_up_can_be_taken_again_at_once() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let both = format!(
        "{}[listeners.second]\nlisten = \"{address}\"\n",
        saying("one")
    );
    let mut proxy = Proxy::start(&both);
    let now = |proxy: &mut Proxy, config: &str| {
        proxy.write_config(config);
        let answer = proxy.admin("POST", "/reload", "");
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    for _ in 0..3 {
        now(&mut proxy, &saying("one"));
        now(&mut proxy, &both);
        assert_eq!(Client::tcp(address).get("/").text(), "one");
    }
}

#[test]
fn a_listener_that_cannot_be_bound_makes_the_reload_fail_whole() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut proxy = Proxy::start(&saying("one"));
    let also = format!(
        "{}[listeners.second]\nlisten = \"{address}\"\n",
        saying("two")
    );
    let error = proxy.reload_refused(also);
    assert!(
        error.contains("second") || error.contains(&address.to_string()),
        "{error}"
    );
    assert_eq!(proxy.get("/").text(), "one", "nothing of it serves");
    assert_eq!(proxy.address_of("second"), None);
}

#[test]
fn a_change_that_needs_a_restart_is_refused_by_name() {
    let mut proxy = Proxy::start(&saying("one"));
    let error = proxy.reload_refused(format!("{}[process]\nworkers = 1\n", saying("two")));
    assert!(
        error.contains("workers") && error.contains("restart"),
        "{error}"
    );
    assert_eq!(proxy.get("/").text(), "one");
}

#[test]
fn a_connection_stays_and_its_next_request_takes_the_new_route() {
    let mut proxy = Proxy::start(&saying("one"));
    let mut http1 = proxy.client();
    let http2 = H2Client::connect(proxy.address());
    assert_eq!(http1.get("/").text(), "one");
    assert_eq!(http2.get("/").text(), "one");
    proxy.reload_with(saying("two"));
    assert_eq!(http1.get("/").text(), "two");
    assert_eq!(http2.get("/").text(), "two");
}

#[test]
fn a_request_keeps_the_route_that_it_started_with_to_the_end_of_its_body() {
    let gate = Gate::new();
    let origin = Origin::start().on(
        "/",
        Script::new()
            .send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nfirst")
            .wait(&gate)
            .send("end"),
    );
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/", &[], "").read_head();
    // Its route and its upstream are gone.
    proxy.reload_with(saying("new"));
    assert_eq!(proxy.get("/").text(), "new");
    gate.open();
    assert_eq!(client.read_bytes(8), b"firstend");
    assert_eq!(client.get("/").text(), "new");
}

#[test]
fn long_streams_outlive_reloads() {
    let (origin, grpc) = (
        Origin::start()
            .on("/ws", Script::upgrade("websocket"))
            .on("/upload", Script::echo_pieces()),
        H2Origin::start(),
    );
    let setup = |note: &str| {
        Setup::to(&origin)
            .route(format!("response = {{ set_headers = {{ x-note = \"{note}\" }} }}"))
            .also(format!(
                "[upstreams.grpc]\nendpoints = [\"{}\"]\n[routes.grpc]\nmatch = {{ path = \"/grpc\" }}\nupstream = \"grpc\"\n",
                grpc.address()
            ))
            .toml()
    };
    let mut proxy = Proxy::start(&setup("0"));
    let mut websocket = proxy.client();
    websocket
        .send("GET /ws HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(websocket.read_head().word(1), "101");
    let mut upload = proxy.client();
    upload.send("POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    upload.read_head();
    let caller = H2Client::connect(proxy.address());
    let mut call = caller.open("POST", "/grpc", &[("content-type", "application/grpc")]);
    assert_eq!(call.status(), 200);

    for number in 1..=3 {
        proxy.reload_with(setup(&number.to_string()));
        websocket.send("ping");
        assert_eq!(websocket.read_bytes(4), b"ping");
        upload.send("1\r\nx\r\n");
        assert_eq!(upload.read_bytes(6), b"1\r\nx\r\n");
        call.send("ping");
        assert_eq!(call.next().as_deref(), Some("ping"));
    }
    call.end();
    assert_eq!(call.answer().grpc_status(), Some("0"));
}

#[test]
fn upstream_connections_outlive_a_reload() {
    let origin = Origin::start();
    let mut proxy = Launch::new(Setup::to(&origin).toml()).one_worker().start();
    assert_eq!(proxy.get("/").status, 200);
    proxy.reload_with(Setup::to(&origin).route(r#"timeout = "9s""#).toml());
    assert_eq!(proxy.get("/").status, 200);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn requests_in_flight_count_against_a_limit_that_is_new() {
    let origin = Origin::start().on("/stall", Script::new().stall());
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let mut client = proxy.client();
    client.send_request("GET", "/stall", &[], "");
    eventually(SOON, "the request arrives", || origin.requests().len() == 1);
    proxy.reload_with(Setup::to(&origin).upstream("max_in_flight = 1").toml());
    proxy.get("/").assert_refused(503, "overloaded");
}

#[test]
fn every_swap_of_a_config_map_volume_is_seen() {
    for directory in [false, true] {
        let launch = Launch::new(saying("0")).config_map();
        let mut proxy = if directory {
            launch.directory()
        } else {
            launch
        }
        .start();
        for number in 1..=4 {
            let text = number.to_string();
            proxy.write_config(saying(&text));
            eventually(LIVE, "the new version serves", || {
                proxy.get("/").text() == text
            });
        }
        proxy.reload_refused("[nonsense]\n");
        assert_eq!(proxy.get("/").text(), "4");
    }
}

#[test]
fn a_file_that_appears_in_a_config_directory_is_merged() {
    let proxy = Launch::new(saying("all")).directory().start();
    let extra = |text: &str| {
        format!(
            "[routes.extra]\nmatch = {{ path = \"/extra\" }}\nrespond = {{ body = \"{text}\" }}\n"
        )
    };
    proxy.write_file("extra.toml", &extra("extra"));
    eventually(LIVE, "the new file serves", || {
        proxy.get("/extra").text() == "extra"
    });
    proxy.write_file("zz.toml", &extra("again"));
    eventually(SOON, "a table named twice is refused", || {
        let error = proxy.last_error();
        error.contains("extra.toml") && error.contains("zz.toml")
    });
    std::fs::remove_file(proxy.path("config/zz.toml")).unwrap();
    std::fs::remove_file(proxy.path("config/extra.toml")).unwrap();
    eventually(LIVE, "the file is gone", || {
        proxy.get("/extra").text() == "all"
    });
}

#[test]
fn a_reload_can_be_asked_for() {
    let mut proxy = Proxy::start(&saying("one"));
    proxy.write_config(saying("two"));
    let answer = proxy.admin("POST", "/reload", "");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        proxy.get("/").text(),
        "two",
        "it serves when the answer comes"
    );

    proxy.write_config("[routes.all]\nnonsense = 1\n");
    let answer = proxy.admin("POST", "/reload", "");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("main.toml:2:"), "{}", answer.text());
    assert_eq!(proxy.get("/").text(), "two");
}

#[test]
fn a_hangup_signal_reloads() {
    let mut proxy = Proxy::start(&saying("one"));
    proxy.write_config(saying("two"));
    proxy.signal(Signal::HUP);
    eventually(LIVE, "the new config serves", || {
        proxy.get("/").text() == "two"
    });
    assert!(proxy.exited().is_none());
}

#[test]
fn no_request_fails_while_configs_come_and_go() {
    let origin = Origin::start();
    let mut proxy = Proxy::with(&Setup::to(&origin));
    let address = proxy.address();
    let gate = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let done = gate.clone();
            std::thread::spawn(move || {
                let mut client = Client::tcp(address);
                let mut served = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    assert_eq!(client.get("/").status, 200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    for number in 0..3 {
        proxy.reload_with(
            Setup::to(&origin)
                .route(format!("timeout = \"{}s\"", 10 + number))
                .toml(),
        );
        proxy.reload_refused(format!("[routes.all]\nnonsense = {number}\n"));
    }
    gate.store(true, std::sync::atomic::Ordering::Relaxed);
    for caller in callers {
        assert!(caller.join().unwrap() > 0);
    }
}
