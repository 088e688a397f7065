//! What the documentation shows, works.
//!
//! In a Markdown file, a block marked `toml` is a whole config and must pass `outrigger check`. A block marked
//! `console` is run as one shell session in the repository's root: lines that begin with `$ ` are commands (a
//! line after one that ends in `\` continues it), the lines behind a command are its output. There, a line `...`
//! stands for any lines, and `...` within a line for anything. Blocks marked otherwise, such as `sh`, are only
//! shown.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::sources::{SourceFile, files, root};

#[test]
fn every_config_file_passes_the_check() {
    for file in files(Path::new("config"), "toml") {
        // A config directory is one config: its files need each other.
        let parent = file.path.parent().expect("a file in a folder");
        let whole = parent == Path::new("config") || parent == Path::new("config/examples");
        assert_passes(
            if whole { &file.path } else { parent },
            &file.path.display().to_string(),
        );
    }
}

#[test]
fn every_config_in_the_documentation_passes_the_check() {
    let folder = tempfile::tempdir().unwrap();
    for file in documents() {
        for block in blocks(&file.text).filter(|block| block.kind == "toml") {
            let path = folder.path().join("shown.toml");
            fs::write(&path, &block.text).unwrap();
            assert_passes(&path, &format!("{}:{}", file.path.display(), block.line));
        }
    }
}

#[test]
fn every_console_session_in_the_documentation_goes_as_shown() {
    for file in documents() {
        for block in blocks(&file.text).filter(|block| block.kind == "console") {
            for (command, expected, output) in replay(&block.text) {
                assert!(
                    matches(&expected, &output),
                    "{}:{}: `{command}` printed\n{output}\ninstead of\n{expected}",
                    file.path.display(),
                    block.line
                );
            }
        }
    }
}

#[test]
fn output_is_compared_with_gaps() {
    assert!(matches("a\n...\nd", "a\nb\nc\nd\n"));
    assert!(matches("a\n...", "a\n"));
    assert!(matches("HTTP/1.1 ... OK", "HTTP/1.1 200 OK\r\n"));
    assert!(matches("x...y...z", "x1y2y3z"));
    assert!(!matches("a\n...\nd", "a\nb\n"));
    assert!(!matches("x...y", "x1y2"));
    assert!(!matches("a", "a\nb"));
}

#[test]
fn blocks_and_sessions_are_read_as_described() {
    let text = "# Title\n\n```console\n$ printf 'a\\nb\\n'\na\nb\n$ echo one \\\n  two\none two\n```\n\n```toml\nx = 1\n```\n";
    let found: Vec<_> = blocks(text).collect();
    assert_eq!(found.len(), 2);
    assert_eq!(
        (
            found[1].kind.as_str(),
            found[1].line,
            found[1].text.as_str()
        ),
        ("toml", 12, "x = 1\n")
    );
    let session = replay(&found[0].text);
    assert_eq!(session.len(), 2);
    for (command, expected, output) in session {
        assert!(matches(&expected, &output), "{command}: {output}");
    }
}

/// No session of the documentation takes a reader longer.
const SESSION_LIMIT: &str = "60s";

fn documents() -> Vec<SourceFile> {
    let mut found = files(Path::new("config"), "md");
    found.extend(files(Path::new("deploy"), "md"));
    let readme = root().join("README.md");
    found.push(SourceFile {
        text: fs::read_to_string(&readme).expect("README.md"),
        path: "README.md".into(),
    });
    found
}

fn assert_passes(config: &Path, shown_at: &str) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_outrigger"))
        .current_dir(root())
        .args(["check", "--strict"])
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{shown_at}:\n{said}");
}

struct Block {
    /// The word behind the fence.
    kind: String,
    /// Where its fence stands, from 1.
    line: usize,
    text: String,
}

fn blocks(markdown: &str) -> impl Iterator<Item = Block> {
    let mut lines = markdown.lines().enumerate();
    std::iter::from_fn(move || {
        let (number, fence) = lines.by_ref().find(|(_, line)| line.starts_with("```"))?;
        let content = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```");
        Some(Block {
            kind: fence.trim_start_matches('`').to_owned(),
            line: number + 1,
            text: content.flat_map(|line| [line, "\n"]).collect(),
        })
    })
}

/// Runs a session; gives each command with the output that was shown and the one that came.
fn replay(session: &str) -> Vec<(String, String, String)> {
    const MARK: &str = "--- the next command ---";
    let mut steps: Vec<(String, String)> = Vec::new();
    for line in session.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), String::new())),
            (None, Some((command, _))) if command.ends_with('\\') => {
                command.push('\n');
                command.push_str(line);
            }
            (None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            (None, None) => panic!("a session begins with a command, not with `{line}`"),
        }
    }
    // What a session leaves running ends with it.
    let mut script = "trap 'jobs -p | xargs -r kill' EXIT\n".to_owned();
    for (command, _) in &steps {
        script.push_str(&format!("echo '{MARK}'\n{command}\n"));
    }
    let program = Path::new(env!("CARGO_BIN_EXE_outrigger"))
        .parent()
        .expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    // `timeout` ends the whole process group, also what the session has started.
    let output = Command::new("timeout")
        .args([SESSION_LIMIT, "bash", "-c", &format!("exec 2>&1\n{script}")])
        .current_dir(root())
        .env("PATH", format!("{}:{path}", program.display()))
        .env(
            "BROKER",
            std::env::var("OUTRIGGER_TEST_RABBITMQ").unwrap_or_default(),
        )
        .stdin(Stdio::null())
        .output()
        .expect("timeout and bash");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let in_time = output.status.code() != Some(124);
    assert!(in_time, "not over within {SESSION_LIMIT}; so far:\n{said}");
    let mark = format!("{MARK}\n");
    let mut said = said.split(&mark).skip(1).map(str::to_owned);
    steps
        .into_iter()
        .map(|(command, expected)| (command, expected, said.next().unwrap_or_default()))
        .collect()
}

fn matches(expected: &str, output: &str) -> bool {
    let expected: Vec<&str> = expected.trim_end().lines().collect();
    let output: Vec<&str> = output.trim_end().lines().collect();
    lines_match(&expected, &output)
}

fn lines_match(expected: &[&str], output: &[&str]) -> bool {
    match (expected, output) {
        ([], []) => true,
        ([line, rest @ ..], _) if line.trim() == "..." => {
            (0..=output.len()).any(|skipped| lines_match(rest, &output[skipped..]))
        }
        ([line, rest @ ..], [first, others @ ..]) => {
            line_matches(line, first) && lines_match(rest, others)
        }
        _ => false,
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    let Some((before, rest)) = expected.split_once("...") else {
        return expected == line;
    };
    let Some(line) = line.strip_prefix(before) else {
        return false;
    };
    line.char_indices()
        .map(|(at, _)| at)
        .chain([line.len()])
        .any(|at| line_matches(rest, &line[at..]))
}
