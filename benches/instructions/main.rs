//! How many instructions of its own the proxy executes for a request, counted by valgrind.
//!
//! `cargo bench --profile dev --bench instructions` prints them for the release build of the proxy. Unlike time, they hardly depend on what else the machine does, so a
//! baseline can be kept with the code: `-- --check` fails when a count is more than 3 % above `baseline.toml`, and
//! `-- --bless` writes the counts there. Compilers differ: with another one than the baseline's, `--check` only tells.
//! Names after the flags, such as `-- small policies`, choose what is counted.
//!
//! Each kind of traffic is run twice, with a few and with many requests, from the same number of connections; the
//! difference over the difference in requests is what one request costs, without start and end.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark that cannot run says why by panicking, and prints its figures"
)]

mod baseline;
mod caller;
mod origin;
mod program;
mod traffic;
mod valgrind;

use std::process::ExitCode;

use baseline::Baseline;
use futures_util::StreamExt as _;
use traffic::TRAFFIC;

/// Above the baseline by more than this share, a count fails.
const TOLERANCE: f64 = 0.03;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let all = arguments.iter().all(|argument| argument.starts_with("--"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut baseline = Baseline::read();
    let comparable = baseline.is_of_this_compiler();
    let mut exceeded = false;
    let proxy = &program::built();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = TRAFFIC.iter().filter(|traffic| all || asked(traffic.name));
    let counts = wanted.map(|traffic| async move { (traffic, traffic.count(proxy).await) });
    let counts: Vec<_> =
        runtime.block_on(futures_util::stream::iter(counts).buffered(cores).collect());
    println!(
        "{:15} {:>9} {:>9}  change",
        "instructions", "a request", "baseline"
    );
    for (traffic, counted) in counts {
        let change = baseline.requests.get(traffic.name).map(|before| {
            let change = counted as f64 / *before as f64 - 1.0;
            exceeded |= change > TOLERANCE;
            format!("{before:>9}  {:+.1} %", change * 100.0)
        });
        println!(
            "{:15} {counted:>9} {}",
            traffic.name,
            change.unwrap_or_default()
        );
        baseline.requests.insert(traffic.name.to_owned(), counted);
    }
    if asked("--bless") {
        baseline.write();
    } else if asked("--check") && !comparable {
        println!("the baseline is of another compiler: not compared");
    } else if asked("--check") && exceeded {
        println!(
            "a request costs more than before: find out why, or raise the baseline with --bless and give the reason"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
