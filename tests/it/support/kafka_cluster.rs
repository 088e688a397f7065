//! A cluster of Kafka of one's own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A cluster of three brokers, which forgets everything when it ends. It does what `tests/servers/kafka.py` says.
pub struct KafkaCluster {
    child: Child,
    lines: Option<(ChildStdin, BufReader<ChildStdout>)>,
    pub servers: String,
}

impl KafkaCluster {
    /// Starts one, whose groups form within a moment.
    pub fn start() -> Self {
        KafkaCluster::with(&[])
    }

    /// One that is told more: `--login PLAIN USER PASSWORD`.
    pub fn with(arguments: &[&str]) -> Self {
        let library = std::env::var_os("OUTRIGGER_TEST_KAFKA")
            .expect("OUTRIGGER_TEST_KAFKA, which `tests/run` sets by `tests/servers/kafka`");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/kafka.py");
        let mut child = Command::new("python3")
            .arg(script)
            .arg(library)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut servers = String::new();
        output.read_line(&mut servers).unwrap();
        let mut cluster = KafkaCluster {
            child,
            lines: Some((input, output)),
            servers: servers.trim().to_owned(),
        };
        cluster.run("group_initial_rebalance_delay_ms 200");
        cluster
    }

    pub fn url(&self) -> String {
        format!("kafka://{}", self.servers)
    }

    /// Creates a topic, and those of its retries and dead letters.
    pub fn create(&mut self, topic: &str, partitions: u16, steps: usize) {
        let retries = (1..=steps).map(|step| format!("{topic}.retry.{step}"));
        let all = [topic.to_owned(), format!("{topic}.dlq")];
        for name in all.into_iter().chain(retries) {
            self.run(&format!("topic_create {name} {partitions} 3"));
        }
    }

    /// Has it do something, which must go well.
    pub fn run(&mut self, line: &str) {
        assert_eq!(self.ask(line), 0, "{line}");
    }

    /// Has it do something, and gives the number that comes of it.
    pub fn ask(&mut self, line: &str) -> i64 {
        let (input, output) = self.lines.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        answer.trim().parse().unwrap()
    }
}

impl Drop for KafkaCluster {
    fn drop(&mut self) {
        // It ends with its input.
        self.lines = None;
        let _ended = self.child.wait();
    }
}
