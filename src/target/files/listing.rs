//! What is in a directory, as JSON, page by page.

use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;

use http::{HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat, fstat, statat};
use serde::Serialize;

use super::path::{UPLOADING, Wanted};
use super::root::Root;
use super::state::State;
use crate::http::body::Body;
use crate::http::error::{BAD_REQUEST, Error};
use crate::http::message::{Request, Response};

/// Entries of one page, if not fewer are asked for.
const MOST: usize = 1000;
/// Memory that the kernel writes names to.
const BUFFER: usize = 32 << 10;
/// What stands for itself in a name that is part of a URL.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The page that is asked for.
pub(super) struct Asked {
    hidden: bool,
    /// The name behind which it begins.
    after: Option<Vec<u8>>,
    limit: usize,
}

impl Asked {
    /// Reads `?after=NAME&limit=NUMBER`.
    ///
    /// # Errors
    /// `bad_request`: a limit that is none.
    pub fn read(request: &Request, hidden: bool) -> Result<Self, Error> {
        let mut asked = Asked {
            hidden,
            after: None,
            limit: MOST,
        };
        let pairs = request.target.query().unwrap_or_default().split('&');
        for (key, value) in pairs.filter_map(|pair| pair.split_once('=')) {
            match key {
                "after" => asked.after = Some(percent_decode_str(value).collect()),
                "limit" => {
                    let limit = value.parse::<usize>().ok().filter(|limit| *limit > 0);
                    let wrong = || Error::new(BAD_REQUEST, "`limit` is not a number of entries");
                    asked.limit = limit.ok_or_else(wrong)?.min(MOST);
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    fn takes(&self, name: &[u8], kind: FileType) -> bool {
        let is_served = matches!(
            kind,
            FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown
        );
        let is_shown = match name {
            b"." | b".." => false,
            [b'.', ..] => self.hidden && !name.starts_with(UPLOADING),
            _ => true,
        };
        is_served && is_shown && self.after.as_deref().is_none_or(|after| name > after)
    }
}

/// A page of a listing.
pub(super) struct Page {
    entries: Vec<Entry>,
    limit: usize,
    /// The name behind which the next page begins.
    next: Option<Vec<u8>>,
}

#[derive(Serialize)]
struct Entry {
    /// Bytes that are no UTF-8 are shown as U+FFFD; `href` has them.
    name: String,
    kind: &'static str,
    /// Bytes; of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    mtime: String,
    /// Leads there from the listing.
    href: String,
}

/// Reads a page of the directory at `wanted`, which is open. It may wait for the disk.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn read(
    root: &Root,
    wanted: &Wanted,
    directory: &OwnedFd,
    asked: Asked,
) -> io::Result<Page> {
    let mut names = names(directory, &asked)?;
    let more = names.len() > asked.limit;
    names.truncate(asked.limit);
    let next = names.last().filter(|_| more).cloned();
    let entries = names
        .iter()
        .filter_map(|name| Entry::of(root, wanted, directory, name));
    Ok(Page {
        entries: entries.collect(),
        limit: asked.limit,
        next,
    })
}

/// The first names of the page in order, and one more if there are more. No more than these are ever in memory.
fn names(directory: &OwnedFd, asked: &Asked) -> io::Result<Vec<Vec<u8>>> {
    let mut first: BinaryHeap<Vec<u8>> = BinaryHeap::new();
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !asked.takes(name, entry.file_type()) {
            continue;
        }
        if first.len() <= asked.limit {
            first.push(name.to_vec());
        } else if let Some(mut last) = first.peek_mut()
            && name < last.as_slice()
        {
            *last = name.to_vec();
        }
    }
    Ok(first.into_sorted_vec())
}

impl Entry {
    /// None for what is not served, or is not there any more.
    fn of(root: &Root, wanted: &Wanted, directory: &OwnedFd, name: &[u8]) -> Option<Self> {
        let mut stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        if kind(&stat) == FileType::Symlink {
            let path = wanted.child(name);
            let target = root.find(&path, OFlags::PATH, Mode::empty()).ok()?;
            stat = fstat(target).ok()?;
        }
        let (kind, slash) = match kind(&stat) {
            FileType::RegularFile => ("file", ""),
            FileType::Directory => ("directory", "/"),
            _ => return None,
        };
        let state = State::of(&stat);
        let mtime = humantime::format_rfc3339_seconds(state.modified());
        Some(Entry {
            name: String::from_utf8_lossy(name).into_owned(),
            kind,
            size: (kind == "file").then_some(state.size),
            mtime: mtime.to_string(),
            href: format!("{}{slash}", percent_encode(name, ESCAPED)),
        })
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

impl Page {
    pub fn answer(&self, request: &Request) -> Response {
        let next = self.next.as_ref().map(|after| {
            let after = percent_encode(after, ESCAPED);
            format!("?limit={}&after={after}", self.limit)
        });
        #[derive(Serialize)]
        struct Shown<'a> {
            path: Cow<'a, str>,
            entries: &'a [Entry],
            next: Option<&'a str>,
        }
        let shown = Shown {
            path: percent_decode_str(request.target.path()).decode_utf8_lossy(),
            entries: &self.entries,
            next: next.as_deref(),
        };
        let mut text = serde_json::to_vec(&shown).unwrap_or_default();
        // Whoever reads it does so in a terminal.
        text.push(b'\n');
        let mut answer = Response::new(StatusCode::OK, Body::full(text));
        let kind = HeaderValue::from_static("application/json");
        answer.headers.append(&header::CONTENT_TYPE, &kind);
        if let Some(next) = next {
            let link = format!("<{next}>; rel=\"next\"");
            answer.headers.insert_text(&header::LINK, link);
        }
        answer
    }
}
