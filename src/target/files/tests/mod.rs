//! What is served of a directory, and what never is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::BodyExt;
use rustix::fs::{CWD, Mode};
use tempfile::TempDir;

use super::root::Finds;
use super::*;
use crate::testing::{exchange, headers, request};
use crate::upstream::Resend;

mod corpus;
mod reading;

/// A directory `data` that is served, in one that is not.
struct Served {
    outside: TempDir,
    handler: Box<dyn Handler>,
}

/// What came of a request.
#[derive(Debug)]
struct Got {
    status: u16,
    /// Of a refusal.
    reason: &'static str,
    headers: crate::http::headers::Headers,
    body: Vec<u8>,
}

impl Served {
    fn new(options: &str) -> Self {
        Served::found_by(options, Finds::Kernel)
    }

    fn found_by(options: &str, finds: Finds) -> Self {
        let outside = TempDir::new().unwrap();
        let data = outside.path().join("data");
        fs::create_dir(&data).unwrap();
        let config: Config = toml::from_str(&format!("root = {data:?}\n{options}")).unwrap();
        let opened = Opened {
            root: Some(Arc::new(Root::found_by(&data, finds).unwrap())),
            ..Opened::default()
        };
        let build = Build {
            route: &"r".parse().unwrap(),
            upstreams: &BTreeMap::new(),
            brokers: &BTreeMap::new(),
            databases: &BTreeMap::new(),
            resend: Resend::Nothing,
            allow: HeaderValue::from_static("DELETE, GET, HEAD, OPTIONS, POST, PUT"),
            rest: Some("rest"),
            opened: &opened,
        };
        let options = Options {
            sticky: None,
            rewrite: None,
            mirror: None,
        };
        let handler = config.build(&build, options).unwrap();
        Served { outside, handler }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.outside.path().join("data").join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Writes a file and waits until its tag is a strong one.
    async fn write_settled(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        self.write(name, content);
        loop {
            let got = self.get(name, &[]).await;
            let tag = got.header("etag").unwrap();
            if tag.starts_with('"') {
                return tag;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        self.ask("GET", path, fields, Body::empty()).await
    }

    /// `path` is what the route's `{*rest}` captures.
    async fn ask(&self, method: &str, path: &str, fields: &[(&str, &str)], body: Body) -> Got {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let slash = if path.is_empty() || path.ends_with('/') {
            "/"
        } else {
            ""
        };
        let question = if query.is_empty() { "" } else { "?" };
        let target = format!("/files{slash}{question}{query}");
        let mut request = request(method, &target);
        request.context.captures.push("rest".into(), path);
        request.headers = headers(fields);
        request.body = body;
        match self.handler.call(request, exchange()).await {
            Ok(mut answer) => {
                let mut body = Vec::new();
                while let Some(frame) = answer.body.frame().await {
                    body.extend(frame.unwrap().into_data().unwrap());
                }
                Got {
                    status: answer.status.as_u16(),
                    reason: "",
                    headers: answer.headers,
                    body,
                }
            }
            Err(error) => {
                let mut headers = crate::http::headers::Headers::new();
                for (name, value) in error.headers() {
                    headers.append(name, value);
                }
                Got {
                    status: error.status().as_u16(),
                    reason: error.reason().name,
                    headers,
                    body: error.detail().into(),
                }
            }
        }
    }
}

impl Got {
    fn header(&self, name: &str) -> Option<String> {
        let name: http::HeaderName = name.parse().unwrap();
        self.headers.get_str(&name).map(str::to_owned)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn link(target: impl AsRef<Path>, at: PathBuf) {
    std::os::unix::fs::symlink(target, at).unwrap();
}
