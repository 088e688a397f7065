//! How long the search for a route takes, and a path's normalisation before it.
//!
//! `cargo bench --bench router`. Each table mixes hosts with literal and with captured paths; a search asks
//! for a route in the middle of it.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark on what is known to be good"
)]

use divan::Bencher;
use http::Method;
use http::uri::PathAndQuery;
use outrigger::http::headers::Headers;
use outrigger::http::path::normalise;
use outrigger::route::{Config, Found, Lookup, Table};
use outrigger::value::Name;

const SIZES: [usize; 3] = [10, 1_000, 10_000];

fn main() {
    divan::main();
}

/// A route in ten has a host; one half of the paths are literal, the other half capture.
fn table(size: usize) -> Table<usize> {
    let configs: Vec<(Name, Config)> = (0..size)
        .map(|index| {
            let condition = match index % 10 {
                0 => format!("host = \"h{index}.example\""),
                1 => format!("host = \"*.h{index}.example\""),
                n if n % 2 == 0 => format!("path = \"/api/v1/things-{index}/list\""),
                _ => format!("path = \"/api/v1/things-{index}/{{id}}/{{*rest}}\""),
            };
            let text = format!("match = {{ {condition}, methods = [\"GET\"] }}");
            let name = format!("r{index}").parse().unwrap();
            (name, toml::from_str(&text).unwrap())
        })
        .collect();
    let routes = configs.iter().enumerate();
    Table::build(
        routes
            .map(|(index, (name, config))| (name.clone(), config, index))
            .collect(),
    )
    .unwrap_or_else(|_| unreachable!("no two of these routes tie"))
}

/// An index in the middle of the table, of the kind that `digit` stands for in [`table`].
fn middle(size: usize, digit: usize) -> usize {
    size / 20 * 10 + digit
}

fn search(bencher: Bencher, size: usize, host: &str, path: &str, expected: Option<usize>) {
    let table = table(size);
    let headers = Headers::new();
    let lookup = Lookup {
        listener: "main",
        host: Some(host),
        method: &Method::GET,
        path,
        encoded_separators: false,
        query: None,
        headers: &headers,
    };
    let found = match table.find(&lookup) {
        Found::Route { value, .. } => Some(*value),
        _ => None,
    };
    assert_eq!(found, expected);
    bencher.bench(|| table.find(divan::black_box(&lookup)));
}

#[divan::bench(args = SIZES)]
fn literal(bencher: Bencher, size: usize) {
    let index = middle(size, 4);
    let path = format!("/api/v1/things-{index}/list");
    search(bencher, size, "localhost", &path, Some(index));
}

#[divan::bench(args = SIZES)]
fn captured(bencher: Bencher, size: usize) {
    let index = middle(size, 5);
    let path = format!("/api/v1/things-{index}/42/a/b");
    search(bencher, size, "localhost", &path, Some(index));
}

#[divan::bench(args = SIZES)]
fn host(bencher: Bencher, size: usize) {
    let index = middle(size, 0);
    let host = format!("H{index}.example:8080");
    search(bencher, size, &host, "/anything", Some(index));
}

#[divan::bench(args = SIZES)]
fn suffix(bencher: Bencher, size: usize) {
    let index = middle(size, 1);
    let host = format!("a.b.h{index}.example");
    search(bencher, size, &host, "/anything", Some(index));
}

#[divan::bench(args = SIZES)]
fn none(bencher: Bencher, size: usize) {
    search(bencher, size, "localhost", "/api/v2/nothing/here", None);
}

#[divan::bench(args = ["/api/v1/things-7/42/list?page=2", "/api//v1/./things-7/%34%32/../list"])]
fn path(bencher: Bencher, target: &str) {
    let target: PathAndQuery = target.parse().unwrap();
    bencher
        .with_inputs(|| target.clone())
        .bench_values(|target| normalise(target).is_ok());
}
