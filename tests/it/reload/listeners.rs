//! Listeners that a new config adds, moves or removes.

use std::net::TcpListener;

use super::saying;
use crate::support::{Client, Gate, Origin, Proxy, SOON, Script, Setup, eventually};

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
