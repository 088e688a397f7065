//! `outrigger check`

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{CONFIG_DEFAULT, CONFIG_VARIABLE, patiently, say, say_wrong, show};
use crate::config::{self, Problem, Report, Severity};

/// Say what is wrong with a config, without running it
///
/// Exit code: 0 when all are good, 1 when there are warnings and `--strict` is given, 2 when there are errors.
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger check config/outrigger.toml
  outrigger check --strict /etc/outrigger
  outrigger check --live /etc/outrigger
  outrigger check --offline --strict deploy/kubernetes/base/outrigger.toml
  outrigger check --format github deploy/a.toml deploy/b.toml
  kubectl get configmap outrigger -o jsonpath='{.data.outrigger\\.toml}' | outrigger check -")]
pub(super) struct Check {
    /// TOML files, or directories of them, each a config of its own; `-` reads one from standard input
    #[arg(env = CONFIG_VARIABLE, default_value = CONFIG_DEFAULT, num_args = 1..)]
    paths: Vec<PathBuf>,
    /// Connect to the databases as well, and have them look at the statements of routes and the tables of relays; nothing is changed
    #[arg(long)]
    live: bool,
    /// Excuse what only the place has where the config is to serve: files, directories and environment variables that are missing here are noted, and all else is checked
    #[arg(long, conflicts_with = "live")]
    offline: bool,
    /// Let warnings fail as well
    #[arg(long)]
    strict: bool,
    /// `json` writes a list with an entry for each config, `github` the commands by which a workflow marks lines
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
enum Format {
    Text,
    Json,
    Github,
}

const WARNINGS: u8 = 1;
const ERRORS: u8 = 2;

impl Check {
    pub fn run(&self) -> ExitCode {
        ExitCode::from(self.outcome())
    }

    fn outcome(&self) -> u8 {
        let mut told = Vec::new();
        let mut worst = 0;
        for path in &self.paths {
            let (good, report) = self.judge(path);
            let code = match (good, report.warnings()) {
                (false, _) => ERRORS,
                (true, 1..) if self.strict => WARNINGS,
                (true, _) => 0,
            };
            worst = worst.max(code);
            match self.format {
                Format::Text => tell(path, good, &report),
                Format::Json => told.push(entry(path, good, &report)),
                Format::Github => report.problems().for_each(|problem| say(command(problem))),
            }
        }
        if self.format == Format::Json {
            say(format_args!("{:#}", Value::Array(told)));
        }
        worst
    }

    /// Whether the config is good, and all that there is to say of it.
    fn judge(&self, path: &Path) -> (bool, Report) {
        let read = if path == Path::new("-") {
            const NAME: &str = "standard input";
            let mut bytes = Vec::new();
            // What cannot be read to its end is as wrong as what it then lacks.
            let _cut = io::stdin().read_to_end(&mut bytes);
            let text = String::from_utf8_lossy(&bytes);
            if self.offline {
                Err(config::check_text_offline(NAME, &text))
            } else {
                config::parse(NAME, &text)
            }
        } else {
            patiently(|| match (self.offline, self.live) {
                (true, _) => Err(config::check_offline(path)),
                (_, true) => config::load_live(path),
                (false, false) => config::load(path),
            })
        };
        match read {
            Ok(loaded) => (true, loaded.warnings),
            Err(report) => (self.offline && report.errors() == 0, report),
        }
    }
}

fn tell(path: &Path, good: bool, report: &Report) {
    let path = path.display();
    if !report.is_empty() {
        show(report);
    }
    let errors = (report.errors() > 0).then(|| count(report.errors(), "error"));
    let warnings = (report.warnings() > 0).then(|| count(report.warnings(), "warning"));
    let notes = (report.notes() > 0).then(|| count(report.notes(), "note"));
    let counts: Vec<String> = [errors, warnings, notes].into_iter().flatten().collect();
    let counts = counts.join(" and ");
    match (good, counts.as_str()) {
        (true, "") => say(format_args!("{path} is good")),
        (true, _) => say(format_args!("{path} is good, with {counts}")),
        (false, _) => say_wrong(format_args!("{path} has {counts}")),
    }
}

/// For programs.
fn entry(path: &Path, good: bool, report: &Report) -> Value {
    json!({
        "path": path.display().to_string(),
        "good": good,
        "errors": report.errors(),
        "warnings": report.warnings(),
        "notes": report.notes(),
        "problems": report.problems().map(Problem::json).collect::<Value>(),
    })
}

/// The command by which a workflow of GitHub marks a line.
fn command(problem: &Problem) -> String {
    let level = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let escaped = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let place = problem.position.map_or(String::new(), |at| {
        format!(",line={},col={}", at.line, at.column)
    });
    let file = property(&problem.file);
    let help = problem.help.as_ref();
    let help = help.map_or(String::new(), |help| format!("\nhelp: {help}"));
    let message = escaped(&format!("{}{help}", problem.message));
    format!("::{level} file={file}{place}::{message}")
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_good_from_doubtful_from_bad() {
        let dir = tempfile::tempdir().unwrap();
        let good = "[listeners.a]\nlisten = \"unix:/a\"\n[routes.a]\nrespond = {}\n";
        let doubtful = "[listeners.a]\nlisten = \"unix:/a\"\n";
        for (text, strict, expected) in [
            (good, true, 0),
            (doubtful, false, 0),
            (doubtful, true, 1),
            ("x = 1", false, 2),
        ] {
            let path = dir.path().join("x.toml");
            std::fs::write(&path, text).unwrap();
            assert_eq!(check(vec![path], strict).outcome(), expected, "{text}");
        }
        let path = |name: &str| dir.path().join(name);
        assert_eq!(check(vec![path("nothing.toml")], false).outcome(), 2);
        std::fs::write(path("good.toml"), good).unwrap();
        let both = vec![path("good.toml"), path("x.toml")];
        assert_eq!(check(both, false).outcome(), 2, "the worst counts");
    }

    #[test]
    fn offline_only_what_is_not_here_is_excused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        let missing = "[listeners.a]\nlisten = \"unix:/a\"\ntls = { cert = \"/nowhere/a.crt\", key = \"/nowhere/a.key\", client_ca = \"/nowhere/ca.crt\" }\n\
                       [upstreams.b]\nendpoints = [\"b:1\"]\ntls = { ca = \"/nowhere/ca.crt\" }\n\
                       [routes.c]\nupstream = \"b\"\nmatch = { path = \"/c\" }\n\
                       request = { validate = { schema = \"/nowhere/c.json\" } }\n\
                       credentials = { bearer = { env = \"OUTRIGGER_TEST_NOWHERE\" } }\n\
                       [routes.d]\nfiles = { root = \"/nowhere/d\" }\nmatch = { path = \"/d/{*rest}\" }\n";
        let judged = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let offline = Check {
                offline: true,
                ..check(vec![path.clone()], true)
            };
            let (good, report) = offline.judge(&path);
            (good, report.errors(), report.warnings(), report.notes())
        };
        assert_eq!(judged(missing), (true, 0, 0, 6));
        assert_eq!(check(vec![path.clone()], true).outcome(), ERRORS);
        // What is wrong stays wrong, also behind what is not there, and so does what is here and unfit.
        let shadowed =
            format!("{missing}[routes.e]\nupstream = \"b\"\nmatch = {{ path = \"/c\" }}\n");
        assert_eq!(judged(&shadowed), (false, 1, 0, 6));
        let unfit = dir.path().join("ca.crt");
        std::fs::write(&unfit, "no certificate").unwrap();
        let unfit = missing.replace("/nowhere/ca.crt", unfit.to_str().unwrap());
        assert_eq!(judged(&unfit), (false, 2, 0, 4));
    }

    fn check(paths: Vec<PathBuf>, strict: bool) -> Check {
        Check {
            paths,
            strict,
            live: false,
            offline: false,
            format: Format::Json,
        }
    }

    #[test]
    fn a_workflow_marks_the_line() {
        let report = config::parse("a,b.toml", "[listeners.a]\nlisten = 5%\n").unwrap_err();
        let first = report.first().unwrap();
        let command = command(first);
        assert!(
            command.starts_with("::error file=a%2Cb.toml,line=2,col="),
            "{command}"
        );
        assert_eq!(
            entry(Path::new("-"), false, &report)["problems"][0]["line"],
            2
        );
    }
}
