//! How long a body takes that is changed: read, changed by one step, and written again.
//!
//! `cargo bench --bench transforms`. The bodies are lists of orders, of 1 KiB and of 64 KiB.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark on what is known to be good"
)]

use divan::Bencher;
use outrigger::policy::body::document::{Document, Draft};
use outrigger::policy::body::transform::step::Step;

const SIZES: [usize; 2] = [1 << 10, 64 << 10];

fn main() {
    divan::main();
}

/// About `size` bytes.
fn orders(size: usize) -> Vec<u8> {
    let order = |id: usize| {
        format!(
            r#"{{"id":{id},"name":"article number {id}","price":{id}.50,"tags":["new","sale"],"owner":{{"id":{id},"mail":"someone@example.com"}}}}"#
        )
    };
    let count = size.div_ceil(order(100).len());
    let list: Vec<String> = (0..count).map(order).collect();
    format!(r#"{{"items":[{}]}}"#, list.join(",")).into_bytes()
}

fn change(bencher: Bencher, size: usize, step: &str) {
    #[derive(serde::Deserialize)]
    struct Block {
        step: Step,
    }
    let Block { step } = toml::from_str(&format!("step = {step}")).unwrap();
    let body = orders(size);
    bencher.bench(|| {
        let document = Document::scan(&body).unwrap();
        let changed = step.apply(Draft::Node(document.root()), 4 << 20);
        document.write(&changed.unwrap(), 4 << 20).unwrap()
    });
}

#[divan::bench(args = SIZES)]
fn read_and_write(bencher: Bencher, size: usize) {
    let body = orders(size);
    bencher.bench(|| {
        let document = Document::scan(&body).unwrap();
        let whole = Draft::Node(document.root());
        document.write(&whole, 4 << 20).unwrap()
    });
}

#[divan::bench(args = SIZES)]
fn jmespath(bencher: Bencher, size: usize) {
    let expression = "items[?price > `3`].{ id: id, name: name, mail: owner.mail }";
    change(bencher, size, &format!("{{ jmespath = \"{expression}\" }}"));
}

#[divan::bench(args = SIZES)]
fn rename(bencher: Bencher, size: usize) {
    change(bencher, size, r#"{ rename = { items = "articles" } }"#);
}

#[divan::bench(args = SIZES)]
fn set(bencher: Bencher, size: usize) {
    change(bencher, size, r#"{ set = { "/meta/source" = "bench" } }"#);
}

#[divan::bench(args = SIZES)]
fn template(bencher: Bencher, size: usize) {
    change(
        bencher,
        size,
        r#"{ template = '{ "articles": {{ body.items }} }' }"#,
    );
}
