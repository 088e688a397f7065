//! GET and HEAD: a file, an index or a listing.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};
use rustix::fs::FileType;

use super::Files;
use super::body::{FileBody, Piece};
use super::coding::{self, Coding};
use super::found::{AT_ONCE, Found};
use super::path::Wanted;
use super::root::PATIENCE;
use super::{failure, listing};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::headers::Headers;
use crate::http::message::{Request, Response};
use crate::http::semantics::conditional::{self, Validators, Verdict};
use crate::http::semantics::range::{self, Asked, Part};

/// How often a file is read again that changed while it was read.
const ATTEMPTS: usize = 3;

impl Files {
    pub(super) async fn get(&self, request: &Request) -> Result<Box<Response>, Error> {
        let wanted = self.wanted(request)?;
        let found = Found::at(&self.root, &wanted.path).await?;
        match (found.kind, wanted.is_directory) {
            (FileType::RegularFile, false) => self.send(request, &wanted.path, found).await,
            (FileType::RegularFile, true) => Err(failure::not_found()),
            (FileType::Directory, true) => self.directory(request, &wanted, found).await,
            (FileType::Directory, false) => Ok(Box::new(with_slash(request))),
            _ => Err(failure::forbidden("only regular files are served")),
        }
    }

    /// The index of a directory, or what is in it.
    async fn directory(
        &self,
        request: &Request,
        wanted: &Wanted,
        found: Found,
    ) -> Result<Box<Response>, Error> {
        for name in &self.index {
            let path = wanted.child(name.as_bytes());
            match Found::at(&self.root, &path).await {
                Ok(index) if index.kind == FileType::RegularFile => {
                    return self.send(request, &path, index).await;
                }
                Ok(_) => {}
                Err(error) if error.reason() == failure::FILE_NOT_FOUND => {}
                Err(error) => return Err(error),
            }
        }
        if !self.list {
            return Err(failure::forbidden(
                "this directory has no index, and is not listed",
            ));
        }
        let page = listing::Asked::read(request, self.hidden)?;
        let (root, wanted) = (self.root.clone(), wanted.clone());
        let read = move || listing::read(&root, &wanted, &found.file, page);
        let page = self.root.run(PATIENCE, read).await?;
        Ok(Box::new(page.map_err(failure::of_looking)?.answer(request)))
    }

    /// The file at `path`.
    async fn send(
        &self,
        request: &Request,
        path: &[u8],
        mut found: Found,
    ) -> Result<Box<Response>, Error> {
        for attempt in 1..=ATTEMPTS {
            let is_last = attempt == ATTEMPTS;
            if let Some(answer) = self.try_send(request, path, found, is_last).await? {
                return Ok(Box::new(answer));
            }
            found = Found::at(&self.root, path).await?;
        }
        Err(failure::changed())
    }

    /// None when the file changed while it was read. With `as_it_comes` that is of no interest, and told by a weak tag.
    async fn try_send(
        &self,
        request: &Request,
        path: &[u8],
        file: Found,
        as_it_comes: bool,
    ) -> Result<Option<Response>, Error> {
        let mut coding = None;
        let mut found = file;
        if !self.precompressed.is_empty() {
            let codings = &self.precompressed;
            let neighbour =
                coding::neighbour(&self.root, codings, &request.headers, path, &found).await?;
            if let Some((neighbour, its)) = neighbour {
                (found, coding) = (neighbour, Some(its));
            }
        }
        let mut validators = found.validators();
        validators.tag.weak |= as_it_comes;
        let head = Head {
            kind: self.types.of(path),
            validators,
            coding,
            varies: !self.precompressed.is_empty(),
        };
        match conditional::judge(true, &request.headers, Some(&head.validators)) {
            Verdict::Holds => {}
            Verdict::NotModified => return Ok(Some(head.answer(StatusCode::NOT_MODIFIED))),
            Verdict::Failed => return Err(failure::precondition()),
        }
        let size = found.state.size;
        let whole = Part {
            start: 0,
            length: size,
        };
        match asked(request, &head.validators, size) {
            _ if request.method == Method::HEAD => {
                let mut answer = head.answer(StatusCode::OK);
                answer.headers.insert(&header::CONTENT_LENGTH, &size.into());
                Ok(Some(answer))
            }
            Asked::Unsatisfiable => Err(failure::unsatisfiable(size)),
            Asked::Whole => {
                let answer = head.answer(StatusCode::OK);
                self.with_part(answer, &head, found, whole, as_it_comes)
                    .await
            }
            Asked::One(part) => {
                let mut answer = head.answer(StatusCode::PARTIAL_CONTENT);
                let range = content_range(part, size);
                answer.headers.insert_text(&header::CONTENT_RANGE, range);
                self.with_part(answer, &head, found, part, as_it_comes)
                    .await
            }
            Asked::Several(parts) => Ok(Some(self.with_parts(&head, found, &parts))),
        }
    }

    /// The answer with one part, or all of it.
    async fn with_part(
        &self,
        mut answer: Response,
        head: &Head,
        found: Found,
        part: Part,
        as_it_comes: bool,
    ) -> Result<Option<Response>, Error> {
        answer.body = if part.length == 0 {
            Body::empty()
        } else if part.length <= AT_ONCE {
            let Some(content) = self.read(found, part, as_it_comes).await? else {
                return Ok(None);
            };
            Body::full(content)
        } else {
            let strong = !head.validators.tag.weak;
            let pieces = VecDeque::from([Piece::Part(part)]);
            let body = FileBody::new(&self.root, found, strong, pieces);
            Body::splicing(body.zero_copy(self.zero_copy))
        };
        Ok(Some(answer))
    }

    /// All bytes of a short part. None when they may be of two contents.
    async fn read(
        &self,
        found: Found,
        part: Part,
        as_it_comes: bool,
    ) -> Result<Option<Bytes>, Error> {
        let size = found.state.size;
        let buffer = BytesMut::zeroed(part.length as usize);
        let at_once = found.read_at_once(part.start, buffer);
        let whole = at_once.filter(|content| content.len() as u64 == part.length);
        let read = match whole {
            Some(content) => found.is_unchanged().map(|same| (content, same)),
            None => {
                let read = move || {
                    let content = found.read(part)?;
                    Ok((content, found.is_unchanged()?))
                };
                self.root.run(PATIENCE, read).await?
            }
        };
        let (content, same) = read.map_err(failure::of_looking)?;
        // A whole that has become shorter is one, too; a part of it is not the one that was announced.
        let is_all = content.len() as u64 == part.length;
        let fits = is_all || part.length == size;
        Ok((same && is_all || as_it_comes && fits).then_some(content))
    }

    /// The answer with several parts (RFC 9110, section 14.6).
    fn with_parts(&self, head: &Head, found: Found, parts: &[Part]) -> Response {
        let size = found.state.size;
        let boundary = format!("{:032x}", fastrand::u128(..));
        let kind = String::from_utf8_lossy(head.kind.as_bytes()).into_owned();
        let mut pieces = VecDeque::with_capacity(2 * parts.len() + 1);
        for part in parts {
            let text = format!(
                "\r\n--{boundary}\r\ncontent-type: {kind}\r\ncontent-range: {}\r\n\r\n",
                content_range(*part, size)
            );
            pieces.push_back(Piece::Text(text.into()));
            pieces.push_back(Piece::Part(*part));
        }
        pieces.push_back(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
        let strong = !head.validators.tag.weak;
        let mut answer = head.answer(StatusCode::PARTIAL_CONTENT);
        let kind = format!("multipart/byteranges; boundary={boundary}");
        answer.headers.insert_text(&header::CONTENT_TYPE, kind);
        answer.body = Body::stream(FileBody::new(&self.root, found, strong, pieces));
        answer
    }
}

/// What is told of a file.
struct Head {
    kind: HeaderValue,
    validators: Validators,
    coding: Option<Coding>,
    /// Another caller may get it in another coding.
    varies: bool,
}

impl Head {
    fn answer(&self, status: StatusCode) -> Response {
        let mut answer = Response::new(status, Body::empty());
        let headers = &mut answer.headers;
        if status != StatusCode::NOT_MODIFIED {
            headers.append(&header::CONTENT_TYPE, &self.kind);
            headers.append(&header::ACCEPT_RANGES, &HeaderValue::from_static("bytes"));
            if let Some(coding) = self.coding {
                headers.append(&header::CONTENT_ENCODING, &coding.value());
            }
        }
        put_validators(headers, &self.validators);
        if self.varies {
            headers.append(&header::VARY, &HeaderValue::from_static("accept-encoding"));
        }
        answer
    }
}

pub(super) fn put_validators(headers: &mut Headers, validators: &Validators) {
    headers.insert_text(&header::ETAG, validators.tag.text());
    let modified = httpdate::fmt_http_date(validators.modified);
    headers.insert_text(&header::LAST_MODIFIED, modified);
}

/// `Range` counts for GET only, and where `If-Range` holds (RFC 9110, section 14.2).
fn asked(request: &Request, validators: &Validators, size: u64) -> Asked {
    let counts = request.method == Method::GET
        && request.headers.contains(&header::RANGE)
        && conditional::if_range_holds(&request.headers, validators, std::time::SystemTime::now());
    if counts {
        range::read(&request.headers, size)
    } else {
        Asked::Whole
    }
}

fn content_range(part: Part, size: u64) -> String {
    format!(
        "bytes {}-{}/{size}",
        part.start,
        part.start + part.length - 1
    )
}

/// Sends the caller to the directory of which it has named all but the last slash: links in what it finds there would
/// lead elsewhere.
fn with_slash(request: &Request) -> Response {
    let mut answer = Response::new(StatusCode::MOVED_PERMANENTLY, Body::empty());
    let mut location = format!("{}/", request.target.path());
    if let Some(query) = request.target.query() {
        location.push('?');
        location.push_str(query);
    }
    answer.headers.insert_text(&header::LOCATION, location);
    answer
}
