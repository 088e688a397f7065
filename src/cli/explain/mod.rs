//! `outrigger explain`

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{BAD_USAGE, is_plain, patiently, say, say_wrong, show};
use crate::app::explain;
use crate::config;
use crate::explain::{Explanation, Question, Style};
use crate::value::OneOrMany;

mod asking;

/// Say which route a request would take, what applies to it, and what would become of it; nothing is sent
///
/// The request passes the same search for routes and the same policies as one that is served. With `--admin` a running proxy is
/// asked, which knows the state of limits, breakers and endpoints; nothing of it changes by that.
///
/// Exit code: 0 when a route takes the request, 1 when it is refused, 2 for a bad command line or config.
#[derive(Args)]
#[command(after_help = "Examples:
  outrigger explain config.toml GET http://payments.localhost/v1/charges/7
  outrigger explain config.toml POST /orders -H 'content-type: application/json' --data '{\"total\": 12}'
  outrigger explain --admin 127.0.0.1:15000 GET /orders --json")]
pub(super) struct Explain {
    /// A TOML file, or a directory of them (not with --admin); a method, GET unless said; and a URL, or the path of one
    #[arg(required = true, num_args = 1..=3, value_names = ["PATH", "METHOD", "URL"])]
    words: Vec<String>,
    /// A header of the request, `name: value`; may be given more than once
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body of the request; none unless said
    #[arg(short, long, value_name = "TEXT")]
    data: Option<String>,
    /// The listener that the request comes to [default: the one with the port of the URL, or the first by name]
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The address of the caller [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,
    /// What the caller's certificate proves: `spiffe://...` or `dns:NAME`
    #[arg(long, value_name = "IDENTITY")]
    identity: Option<String>,
    /// Where a redirected connection was to go, for `original-destination`
    #[arg(long, value_name = "ADDRESS:PORT")]
    original: Option<String>,
    /// Ask a running proxy: the address of its admin API, such as `127.0.0.1:15000` or `unix:/path`
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const REFUSED: u8 = 1;

impl Explain {
    pub fn run(self) -> ExitCode {
        let json = self.json;
        match self.explanation() {
            Ok(explanation) => {
                let text = if json {
                    // Nothing in it can fail to be written as JSON.
                    serde_json::to_string_pretty(&explanation).unwrap_or_default()
                } else {
                    let is_coloured = !is_plain() && io::stdout().is_terminal();
                    let style = if is_coloured {
                        Style::Coloured
                    } else {
                        Style::Plain
                    };
                    explanation.text(style).trim_end().to_owned()
                };
                say(text);
                if explanation.is_served() {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(REFUSED)
                }
            }
            Err(why) => {
                if let Some(why) = why {
                    say_wrong(format_args!("error: {why}"));
                }
                ExitCode::from(BAD_USAGE)
            }
        }
    }

    /// None: what is wrong was told already.
    fn explanation(self) -> Result<Explanation, Option<String>> {
        let admin = self.admin.clone();
        let (path, question) = self.question().map_err(Some)?;
        if let Some(admin) = admin {
            return asking::ask(&admin, &question).map_err(Some);
        }
        let loaded = match patiently(|| config::load(&path)) {
            Ok(loaded) => loaded,
            Err(report) => {
                show(&report);
                return Err(None);
            }
        };
        explain::offline(&loaded, &question).map_err(Some)
    }

    /// The path of the config, and what is asked.
    fn question(self) -> Result<(PathBuf, Question), String> {
        let mut words = self.words.into_iter();
        let path = if self.admin.is_some() {
            PathBuf::new()
        } else {
            words.next().map(PathBuf::from).unwrap_or_default()
        };
        let (method, url) = match (words.next(), words.next(), words.next()) {
            (Some(method), Some(url), None) => (method, url),
            (Some(url), None, None) => ("GET".to_owned(), url),
            (_, _, Some(_)) => return Err("with --admin no path of a config is given".to_owned()),
            (None, ..) => return Err("a URL is missing, such as `/orders`".to_owned()),
        };
        let mut headers: BTreeMap<String, OneOrMany<String>> = BTreeMap::new();
        for line in &self.headers {
            // The line is not repeated: it may hold a secret.
            let (name, value) = line
                .split_once(':')
                .ok_or("a header is written `name: value`")?;
            let values = headers.entry(name.trim().to_ascii_lowercase());
            let values = values.or_insert_with(|| OneOrMany(Vec::new()));
            values.0.push(value.trim().to_owned());
        }
        let question = Question {
            method,
            url,
            headers,
            listener: self.listener,
            client: self.client,
            identity: self.identity,
            original: self.original,
            body: self.data,
        };
        Ok((path, question))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        explain: Explain,
    }

    fn read(line: &[&str]) -> Result<(PathBuf, Question), String> {
        let parsed = Line::try_parse_from([&["explain"], line].concat());
        parsed
            .map_err(|error| error.to_string())?
            .explain
            .question()
    }

    #[test]
    fn the_method_may_be_left_out_and_the_path_goes_with_admin() {
        let (path, question) = read(&["a.toml", "POST", "/x"]).unwrap();
        assert_eq!(path, PathBuf::from("a.toml"));
        assert_eq!((&*question.method, &*question.url), ("POST", "/x"));
        let (_, question) = read(&["a.toml", "/x"]).unwrap();
        assert_eq!((&*question.method, &*question.url), ("GET", "/x"));
        let (_, question) = read(&["--admin", "x:1", "DELETE", "/x"]).unwrap();
        assert_eq!((&*question.method, &*question.url), ("DELETE", "/x"));
        assert!(read(&["a.toml"]).is_err());
        assert!(read(&["--admin", "x:1", "a.toml", "GET", "/x"]).is_err());
    }

    #[test]
    fn headers_are_gathered_by_name_and_a_secret_is_not_repeated() {
        let line = ["a", "/x", "-H", "X-A: 1", "-H", "x-a:2", "-H", "b: c:d"];
        let (_, question) = read(&line).unwrap();
        let values = |name: &str| question.headers[name].0.clone();
        assert_eq!(values("x-a"), ["1", "2"]);
        assert_eq!(values("b"), ["c:d"]);
        let error = read(&["a", "/x", "-H", "hush"]).unwrap_err();
        assert!(!error.contains("hush"), "{error}");
    }
}
