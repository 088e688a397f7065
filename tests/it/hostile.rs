//! Whatever a caller sends, it gets an answer of the contract or a closed connection; what is not sound goes no
//! further; and nothing stays behind.
//!
//! `OUTRIGGER_HOSTILE_CASES` says how many cases are tried, `OUTRIGGER_HOSTILE_SEED` which ones: a failure names both the
//! seed and the case.

mod answers;
mod caller;
mod cases;
mod due;
mod frames;
mod origin;
mod reading;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use self::caller::{Caller, Tally};
use self::cases::{Case, MAX_HEADER_BYTES};
use self::origin::Origin;
use crate::support::{LIMIT, Proxy, Setup, eventually};

const CASES: u64 = 3_000;
/// Callers at the same time.
const CALLERS: usize = 48;
/// Failures after which the rest is not tried.
const ENOUGH: usize = 10;

/// What memory may grow by when everything was met before.
const GROWTH: u64 = 4 << 20;

#[test]
fn hostile_callers_get_an_answer_or_an_end_and_leave_nothing_behind() {
    let origin = Origin::start();
    let proxy = Proxy::with(
        &Setup::to_address(origin.address())
            .upstream(r#"pool = { idle_timeout = "100ms" }"#)
            .listener(r#"header_timeout = "200ms""#)
            .listener(r#"body_timeout = "200ms""#)
            .listener(r#"idle_timeout = "400ms""#)
            .listener(format!("max_header_bytes = \"{MAX_HEADER_BYTES}B\""))
            .listener("max_headers = 40")
            .route(r#"timeout = "5s""#)
            .route(r#"idle_timeout = "400ms""#),
    );
    let files = proxy.open_files();
    let settled = || {
        eventually(LIMIT, "their files are closed", || {
            proxy.open_files() <= files + 2
        });
    };
    let cases = setting("OUTRIGGER_HOSTILE_CASES").unwrap_or(CASES);
    let seed = setting("OUTRIGGER_HOSTILE_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("OUTRIGGER_HOSTILE_CASES={cases} OUTRIGGER_HOSTILE_SEED={seed}");
    let warm_up = cases / 5;

    let run = |numbers| {
        let (tally, wrong) = run(proxy.address(), seed, numbers);
        let complaints = origin.complaints();
        assert!(
            wrong.is_empty() && complaints.is_empty(),
            "{}\nand the origin complains:\n{}",
            wrong.join("\n"),
            complaints.join("\n")
        );
        tally
    };
    let first = run(0..warm_up);
    settled();
    let memory = proxy.resident();
    let begun = Instant::now();
    let mut tally = run(warm_up..cases);
    let took = begun.elapsed();
    assert_eq!(proxy.get("/").status, 200, "and the proxy goes on");
    settled();
    eprintln!(
        "{:.0} cases a second; files {files} and then {}; memory {} KiB and then {} KiB",
        tally.cases as f64 / took.as_secs_f64(),
        proxy.open_files(),
        memory >> 10,
        proxy.resident() >> 10,
    );
    tally.add(first);
    eprintln!("{tally:#?}");

    assert_eq!(tally.cases, cases);
    let answered = tally.answers.get("200").copied().unwrap_or_default();
    assert!(answered > cases / 4, "hardly a case is sound");
    // A caller that gets no time to speak on a busy machine is closed for being idle.
    assert!(
        tally.unanswered <= cases / 500,
        "sound requests go unanswered"
    );
    let switched = tally.answers.get("101").copied().unwrap_or_default();
    assert!(switched > 0, "nothing is switched");
    assert!(
        switched - tally.echoed <= cases / 500,
        "raw bytes do not come back"
    );
    eventually(LIMIT, "memory is what it was", || {
        proxy.resident() <= memory + GROWTH
    });
    let log = proxy.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// Shares the cases among all callers; gives back what is wrong, too.
fn run(address: SocketAddr, seed: u64, numbers: Range<u64>) -> (Tally, Vec<String>) {
    let next = AtomicU64::new(numbers.start);
    let wrong = Mutex::new(Vec::new());
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut caller = Caller::new(address);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end || wrong.lock().unwrap().len() >= ENOUGH {
                        break;
                    }
                    let case = Case::new(seed, number);
                    if let Err(why) = caller.run(&case) {
                        let text = format!("case {number}: {why}\n  {case}");
                        wrong.lock().unwrap().push(text);
                    }
                }
                tally.lock().unwrap().add(caller.tally);
            });
        }
    });
    (tally.into_inner().unwrap(), wrong.into_inner().unwrap())
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}
