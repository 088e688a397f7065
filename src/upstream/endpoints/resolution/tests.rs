//! Hosts and services, whole and in part.

use super::*;
use crate::upstream::fake::Question::{Service as Srv, V4, V6};
use crate::upstream::fake::{Names, Question};

async fn found(destination: &Destination, names: &Names) -> Result<Vec<String>, String> {
    again(destination, names, &mut Knowledge::default()).await.0
}

/// What is found when `knowledge` is known already, and whether a part of it failed.
async fn again(
    destination: &Destination,
    names: &Names,
    knowledge: &mut Knowledge,
) -> (Result<Vec<String>, String>, bool) {
    match resolve(destination, names, knowledge).await {
        Ok(found) => {
            let shown = |r: &Resolved| format!("{} {} {}", r.address, r.name, r.weight);
            let shown = found.records.iter().map(shown).collect();
            (Ok(shown), found.failure.is_some())
        }
        Err(error) => (Err(error.to_string()), true),
    }
}

fn host(host: &str) -> Destination {
    Destination::Host {
        host: host.into(),
        port: 80,
    }
}

fn service(priority: u16, weight: u16, port: u16, host: &str) -> Service {
    Service {
        priority,
        weight,
        port,
        host: host.into(),
    }
}

#[tokio::test]
async fn a_host_is_all_its_addresses_in_order() {
    let names = Names::default();
    names.set("app.", &["10.0.0.2", "::2", "10.0.0.1", "10.0.0.2"]);
    let expected = [
        "10.0.0.1:80 app:80 1",
        "10.0.0.2:80 app:80 1",
        "[::2]:80 app:80 1",
    ];
    assert_eq!(found(&host("app."), &names).await.unwrap(), expected);
    assert!(found(&host("nobody"), &names).await.is_err());
}

#[tokio::test]
async fn the_loopback_is_one_endpoint() {
    let names = Names::default();
    names.set("localhost", &["::1", "127.0.0.1"]);
    names.set("v6", &["::1"]);
    let of = async |name| found(&host(name), &names).await.unwrap();
    assert_eq!(of("localhost").await, ["localhost:80 localhost:80 1"]);
    assert_eq!(of("v6").await, ["[::1]:80 v6:80 1"]);
}

#[tokio::test]
async fn services_of_the_lowest_priority_with_addresses_count() {
    let names = Names::default();
    let destination = Destination::Service("_http._tcp.app".into());
    names.set_services(
        "_http._tcp.app",
        vec![
            service(20, 0, 82, "spare."),
            service(10, 0, 81, "b."),
            service(10, 60, 80, "a."),
            service(1, 1, 80, "gone."),
        ],
    );
    names.set("a.", &["10.0.0.1"]);
    names.set("spare.", &["10.0.0.3"]);
    let of = async || found(&destination, &names).await;
    assert_eq!(of().await.unwrap(), ["10.0.0.1:80 a:80 60"]);
    names.set("b.", &["10.0.0.2"]);
    let expected = ["10.0.0.1:80 a:80 60", "10.0.0.2:81 b:81 1"];
    assert_eq!(of().await.unwrap(), expected);
    names.fail("a.");
    names.fail("b.");
    assert_eq!(of().await.unwrap(), ["10.0.0.3:82 spare:82 1"]);
    names.fail("spare.");
    assert!(of().await.is_err());
}

#[tokio::test]
async fn half_of_the_addresses_is_enough_for_a_first_answer() {
    for (question, expected) in [(V6, "10.0.0.1:80 app:80 1"), (V4, "[fd00::1]:80 app:80 1")] {
        let names = Names::default();
        names.set("app", &["10.0.0.1", "fd00::1"]);
        names.silence("app", &[question]);
        let mut knowledge = Knowledge::default();
        let (records, in_part) = again(&host("app"), &names, &mut knowledge).await;
        assert_eq!(records.unwrap(), [expected]);
        assert!(in_part);
    }
}

#[tokio::test]
async fn the_half_that_fails_stays_as_it_was_and_the_half_that_is_denied_goes() {
    let names = Names::default();
    names.set("app", &["10.0.0.1", "fd00::1"]);
    let mut knowledge = Knowledge::default();
    let app = host("app");
    let both = ["10.0.0.1:80 app:80 1", "[fd00::1]:80 app:80 1"];
    let (records, in_part) = again(&app, &names, &mut knowledge).await;
    assert_eq!(
        (records.unwrap(), in_part),
        (both.map(String::from).to_vec(), false)
    );

    names.set("app", &["fd00::2"]);
    names.silence("app", &[V4]);
    let (records, in_part) = again(&app, &names, &mut knowledge).await;
    let mixed = ["10.0.0.1:80 app:80 1", "[fd00::2]:80 app:80 1"];
    assert_eq!(
        (records.unwrap(), in_part),
        (mixed.map(String::from).to_vec(), true)
    );

    names.speak();
    let (records, in_part) = again(&app, &names, &mut knowledge).await;
    assert_eq!(records.unwrap(), ["[fd00::2]:80 app:80 1"]);
    assert!(!in_part);
}

/// `a.` and `b.` first, `spare.` behind them.
fn services(names: &Names) -> Destination {
    let services = vec![
        service(20, 0, 82, "spare."),
        service(10, 0, 81, "b."),
        service(10, 60, 80, "a."),
    ];
    names.set_services("_http._tcp.app", services);
    names.set("a.", &["10.0.0.1"]);
    names.set("b.", &["10.0.0.2"]);
    names.set("spare.", &["10.0.0.3"]);
    Destination::Service("_http._tcp.app".into())
}

#[tokio::test]
async fn a_service_that_cannot_be_asked_for_stays_where_it_was() {
    let names = Names::default();
    let destination = services(&names);
    let mut knowledge = Knowledge::default();
    let (whole, in_part) = again(&destination, &names, &mut knowledge).await;
    let whole = whole.unwrap();
    assert!(!in_part);
    assert_eq!(whole.len(), 2);

    let all: &[(&[&str], &[Question])] = &[
        (&["a."], &[V4, V6]),
        (&["a.", "b."], &[V4, V6]),
        (&["_http._tcp.app"], &[Srv]),
    ];
    for (silent, questions) in all {
        silent
            .iter()
            .for_each(|name| names.silence(name, questions));
        let (records, in_part) = again(&destination, &names, &mut knowledge).await;
        assert_eq!(records.as_ref(), Ok(&whole), "{silent:?}");
        assert!(in_part);
        names.speak();
    }

    // One that there is no more goes, and with the last of them the spare takes over.
    names.fail("a.");
    let (records, _) = again(&destination, &names, &mut knowledge).await;
    assert_eq!(records.unwrap(), ["10.0.0.2:81 b:81 1"]);
    names.fail("b.");
    let (records, in_part) = again(&destination, &names, &mut knowledge).await;
    assert_eq!(records.unwrap(), ["10.0.0.3:82 spare:82 1"]);
    assert!(!in_part);
}

#[tokio::test]
async fn a_spare_serves_when_nothing_was_ever_known_of_the_first() {
    let names = Names::default();
    let destination = services(&names);
    names.silence("a.", &[V4, V6]);
    names.silence("b.", &[V4, V6]);
    let mut knowledge = Knowledge::default();
    let (records, in_part) = again(&destination, &names, &mut knowledge).await;
    assert_eq!(records.unwrap(), ["10.0.0.3:82 spare:82 1"]);
    assert!(in_part, "and is soon asked for again");
    names.speak();
    let (records, _) = again(&destination, &names, &mut knowledge).await;
    assert_eq!(records.unwrap().len(), 2);
}

#[tokio::test]
async fn addresses_of_services_are_asked_for_while_their_records_cannot_be() {
    let names = Names::default();
    let destination = services(&names);
    let mut knowledge = Knowledge::default();
    again(&destination, &names, &mut knowledge).await.0.unwrap();
    names.silence("_http._tcp.app", &[Srv]);
    names.set("a.", &["10.0.0.9"]);
    let (records, _) = again(&destination, &names, &mut knowledge).await;
    assert_eq!(records.unwrap()[0], "10.0.0.9:80 a:80 60");
}
