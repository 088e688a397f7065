//! `files`: the files below a directory.
//!
//! Nothing outside the directory is ever reached, whatever the path and the links on the way ([`root`]). What is sent under
//! a strong tag is of one content, and nothing else: [`state`] says how that is known.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use super::block::{Block, Build, Opened, Options};
use super::rehearsal::{End, Rehearsal, Rehearsing};
use super::rewrite::PathTemplate;
use crate::http::asking::Asking;
use crate::http::body::Body;
use crate::http::boxed::pinned;
use crate::http::error::{Error, METHOD_NOT_ALLOWED};
use crate::http::exchange::Exchange;
use crate::http::handler::{Answer, Handler};
use crate::http::message::{Request, Response};
use crate::http::trail::Asked;
use crate::value::problem::Problems;
use crate::value::{ByteSize, DirectoryPath, captures, regular};

mod body;
mod coding;
mod content_type;
mod current;
mod delete;
mod failure;
mod found;
mod get;
mod listing;
mod path;
mod put;
mod root;
mod span;
mod state;
#[cfg(test)]
mod tests;
mod upload;
mod walk;

pub use coding::Coding;
pub use root::Root;

use content_type::Types;
use path::Wanted;

/// `files`
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory.
    pub root: DirectoryPath,
    /// The path below it, with `${path.NAME}` for what the match found. Without it: what `{*name}` of the match found, or
    /// all of the request's path where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathTemplate>,
    /// What stands for a directory: the first of these files that is there.
    #[serde(default = "index")]
    pub index: Vec<String>,
    /// Answer for a directory without an index with what is in it.
    #[serde(default)]
    pub list: bool,
    /// Serve what has a name that begins with a dot, too.
    #[serde(default)]
    pub hidden: bool,
    /// Look for a file beside each that holds it in one of these codings.
    #[serde(default)]
    pub precompressed: Vec<Coding>,
    /// No file is ever changed in place, but replaced by another one of its name: the kernel may send its pages.
    #[serde(default)]
    pub zero_copy: bool,
    /// Types of content by the endings of names, before the usual ones.
    #[serde(default)]
    pub types: BTreeMap<String, String>,
    /// Also take PUT and DELETE.
    #[serde(default)]
    pub write: bool,
    /// The largest file that is taken; 1 GiB unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_file: Option<ByteSize>,
    /// Make the directories above a file that is put.
    #[serde(default)]
    pub create_dirs: bool,
}

/// `max_file`, where it is not said.
const MAX_FILE: ByteSize = ByteSize(1 << 30);

const READING: &[Method] = &[Method::GET, Method::HEAD, Method::OPTIONS];
const WRITING: &[Method] = &[
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PUT,
    Method::DELETE,
];

impl Block for Config {
    fn check(&self, known: &[&str], problems: &mut Problems) {
        if let Some(path) = &self.path {
            captures::check(known, &["path"], path.captures(), "", problems);
        }
        for (at, name) in self.index.iter().enumerate() {
            if matches!(name.as_str(), "" | "." | "..") || name.contains(['/', '\0']) {
                problems
                    .error(
                        &["index", &at.to_string()],
                        format!("`{name}` is no name of a file"),
                    )
                    .help("write the name alone, such as \"index.html\"");
            }
        }
        let unused = [
            ("max_file", self.max_file.is_some()),
            ("create_dirs", self.create_dirs),
        ];
        for (key, _) in unused.into_iter().filter(|(_, set)| *set && !self.write) {
            problems
                .error(
                    &[key],
                    format!("`{key}` is about files that are put, and none are"),
                )
                .help("set `write = true`, or leave it out");
        }
        for (ending, kind) in &self.types {
            if !content_type::is_ending(ending) {
                problems
                    .error(
                        &["types", ending],
                        format!("`{ending}` is no ending of a name"),
                    )
                    .help("write it in lower case and without its dot, such as \"md\"");
            }
            if !kind.contains('/') || HeaderValue::from_str(kind).is_err() {
                problems
                    .error(
                        &["types", ending],
                        format!("`{kind}` is no type of content"),
                    )
                    .help("write it like \"text/plain\"");
            }
        }
    }

    fn check_methods(&self, methods: &[&Method], problems: &mut Problems) {
        for (at, method) in methods.iter().enumerate() {
            if !self.methods().contains(method) {
                let help = if self.write {
                    "it answers GET, HEAD, PUT, DELETE and OPTIONS"
                } else {
                    "it answers GET, HEAD and OPTIONS; PUT and DELETE with `write = true`"
                };
                problems
                    .error(
                        &[&at.to_string()],
                        format!("`files` does not answer {method}"),
                    )
                    .help(help);
            }
        }
    }

    fn open(&self, problems: &mut Problems) -> Opened {
        let root = self.root.path();
        let (opened, writable) = regular::asking(root, || {
            let opened = Root::open(root);
            let writable = opened.as_ref().map_or(Ok(()), Root::is_writable);
            (opened, writable)
        });
        if let Err(error) = writable
            && self.write
        {
            problems
                .error(
                    &["write"],
                    format!("cannot write to `{}`: {error}", self.root),
                )
                .help("let this proxy's user write there, or leave `write` out");
        }
        match opened {
            Ok(root) => Opened {
                root: Some(Arc::new(root)),
                ..Opened::default()
            },
            Err(error) => {
                let problem = problems
                    .error(&["root"], format!("cannot open `{}`: {error}", self.root))
                    .help("name a directory that this proxy may read");
                if error.kind() == io::ErrorKind::NotFound {
                    problem.absence();
                }
                Opened::default()
            }
        }
    }

    fn build(&self, build: &Build<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
        Some(Box::new(self.files(build)?))
    }

    fn rehearse(&self, rehearsing: &Rehearsing<'_>, _: Options<'_>) -> Option<Box<dyn Handler>> {
        Some(Box::new(Rehearsed {
            files: self.files(&rehearsing.build)?,
            rehearsal: rehearsing.rehearsal.clone(),
        }))
    }
}

impl Config {
    fn files(&self, build: &Build<'_>) -> Option<Files> {
        let types = self
            .types
            .iter()
            .filter_map(|(ending, kind)| Some((ending.clone(), HeaderValue::from_str(kind).ok()?)));
        Some(Files {
            root: build.opened.root.clone()?,
            shown: self.root.to_string(),
            path: self.path.clone(),
            rest: build.rest.map(str::to_owned),
            index: self.index.clone(),
            list: self.list,
            hidden: self.hidden,
            precompressed: self.precompressed.clone(),
            zero_copy: self.zero_copy,
            types: Types::new(&types.collect()),
            allow: self.allow(&build.allow),
            write: self.write,
            create_dirs: self.create_dirs,
            max_file: self.max_file.unwrap_or(MAX_FILE).0,
            size_limit: getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX),
        })
    }

    fn methods(&self) -> &'static [Method] {
        if self.write { WRITING } else { READING }
    }

    /// What `Allow` says: what is answered, of what the `route` takes.
    fn allow(&self, route: &HeaderValue) -> HeaderValue {
        let route = route.to_str().unwrap_or_default();
        let taken = |method: &&str| self.methods().iter().any(|known| known == *method);
        let allowed: Vec<&str> = route.split(", ").filter(taken).collect();
        HeaderValue::from_str(&allowed.join(", ")).unwrap_or(HeaderValue::from_static("GET, HEAD"))
    }
}

/// The target of a route with `files`.
struct Files {
    root: Arc<Root>,
    /// The directory as it is written.
    shown: String,
    path: Option<PathTemplate>,
    /// The name under which the match has the rest of the path.
    rest: Option<String>,
    index: Vec<String>,
    list: bool,
    hidden: bool,
    precompressed: Vec<Coding>,
    zero_copy: bool,
    types: Types,
    allow: HeaderValue,
    write: bool,
    create_dirs: bool,
    max_file: u64,
    /// No file of this process may be longer (setrlimit(2)): who writes more is ended by a signal.
    size_limit: u64,
}

impl Handler for Files {
    fn call<'a>(&'a self, request: Box<Request>, exchange: &'a Exchange<'a>) -> Answer<'a> {
        pinned(|| self.asked(request, exchange))
    }
}

/// The same, which tells what it would change, and changes nothing.
struct Rehearsed {
    files: Files,
    rehearsal: Arc<Rehearsal>,
}

impl Handler for Rehearsed {
    fn call<'a>(&'a self, request: Box<Request>, _: &'a Exchange<'a>) -> Answer<'a> {
        Box::pin(async move {
            let seen = request.without_body();
            let end = if self.files.write && matches!(request.method, Method::PUT | Method::DELETE)
            {
                let wanted = self.files.wanted(&request)?;
                End::File(String::from_utf8_lossy(&wanted.path).into_owned())
            } else {
                End::Answer(self.files.answer(request).await?)
            };
            self.rehearsal.note(seen, end);
            pending().await
        })
    }
}

impl Files {
    async fn asked(
        &self,
        request: Box<Request>,
        exchange: &Exchange<'_>,
    ) -> Result<Box<Response>, Error> {
        let asked = || Asked::Root(self.shown.as_str().into());
        let asking = Asking::new(exchange, asked, None);
        let result = self.traced(request).await;
        asking.end(result.as_deref());
        result
    }

    async fn traced(&self, request: Box<Request>) -> Result<Box<Response>, Error> {
        let Some(span) = span::begin(&request, &self.shown) else {
            return self.answer(request).await;
        };
        let mut result = self.answer(request).await;
        span::came_to(span, &mut result);
        result
    }

    async fn answer(&self, request: Box<Request>) -> Result<Box<Response>, Error> {
        self.root.renew().await?;
        match request.method {
            Method::GET | Method::HEAD => self.get(&request).await,
            Method::PUT if self.write => self.put(request).await,
            Method::DELETE if self.write => self.delete(request).await,
            Method::OPTIONS => {
                let mut answer = Response::new(StatusCode::NO_CONTENT, Body::empty());
                answer.headers.append(&header::ALLOW, &self.allow);
                Ok(Box::new(answer))
            }
            _ => {
                let detail = format!("files do not answer {}", request.method);
                let error = Error::new(METHOD_NOT_ALLOWED, detail);
                Err(error.with_header(header::ALLOW, self.allow.clone()))
            }
        }
    }

    /// The file that the request names.
    fn wanted(&self, request: &Request) -> Result<Wanted, Error> {
        let captures = &request.context.captures;
        let whole = request.target.path();
        let filled;
        let path = match (&self.path, &self.rest) {
            (Some(template), _) => {
                filled = template.fill(captures);
                &filled
            }
            (None, Some(rest)) => captures.get(rest).unwrap_or_default(),
            (None, None) => whole,
        };
        path::read(path, whole.ends_with('/'), self.hidden)
    }
}

fn index() -> Vec<String> {
    vec!["index.html".to_owned()]
}
