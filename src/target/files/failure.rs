//! What fails with files, and what callers are told.

use std::io;

use http::{HeaderValue, header};
use rustix::io::Errno;

use crate::http::error::{BAD_PATH, Error, OVERLOADED, Reason};
use crate::http::fault::Fault;

/// There is no such file, or none that is served.
pub(super) const FILE_NOT_FOUND: Reason = Reason::new("file_not_found", 404);
/// The path leads out of the directory, to what is no regular file, or to where this process may not go.
pub(super) const FORBIDDEN: Reason = Reason::new("forbidden", 403);
/// A condition of the request does not hold.
pub(super) const PRECONDITION_FAILED: Reason = Reason::new("precondition_failed", 412);
/// There is a directory at the path, or none above it.
const CONFLICT: Reason = Reason::new("conflict", 409);
/// More bytes than a file may have.
const FILE_TOO_LARGE: Reason = Reason::new("file_too_large", 413);
/// A content coding that would have to be undone.
pub(super) const UNSUPPORTED_ENCODING: Reason = Reason::new("unsupported_encoding", 415);
/// There is no room for it. That is no reason to ask for nothing more: to remove something helps.
const DISK_FULL: Reason = Reason::new("disk_full", 507);
/// None of the bytes that are asked for is there.
pub(super) const RANGE_NOT_SATISFIABLE: Reason = Reason::new("range_not_satisfiable", 416);
/// The disk failed, or what lies behind it.
pub(super) const STORAGE_FAILED: Reason = Reason::new("storage_failed", 500).by(Fault::Reset);
/// The disk does not answer.
pub(super) const STORAGE_TIMEOUT: Reason = Reason::new("storage_timeout", 504).by(Fault::Timeout);
/// The file changed while it was sent: what was announced can be sent no more.
const FILE_CHANGED: Reason = Reason::new("file_changed", 500);

pub(super) fn not_found() -> Error {
    Error::new(FILE_NOT_FOUND, "there is no such file")
}

pub(super) fn forbidden(detail: &'static str) -> Error {
    Error::new(FORBIDDEN, detail)
}

pub(super) fn precondition() -> Error {
    Error::new(
        PRECONDITION_FAILED,
        "a condition of the request does not hold for what is there",
    )
}

pub(super) fn is_directory() -> Error {
    Error::new(CONFLICT, "this is a directory, and no file")
}

pub(super) fn no_parent() -> Error {
    Error::new(CONFLICT, "the directory above it is not there")
}

pub(super) fn not_empty() -> Error {
    Error::new(CONFLICT, "there is something in this directory")
}

pub(super) fn name_too_long() -> Error {
    Error::new(BAD_PATH, "the name is too long")
}

pub(super) fn too_large(most: u64) -> Error {
    Error::new(FILE_TOO_LARGE, format!("a file may have {most} bytes"))
}

pub(super) fn disk_full() -> Error {
    Error::new(DISK_FULL, "there is no room for the file")
}

/// 416 for a file of `length` bytes.
pub(super) fn unsatisfiable(length: u64) -> Error {
    let error = Error::new(
        RANGE_NOT_SATISFIABLE,
        format!("the file has {length} bytes, and none of them is asked for"),
    );
    match HeaderValue::from_str(&format!("bytes */{length}")) {
        Ok(value) => error.with_header(header::CONTENT_RANGE, value),
        Err(_) => error,
    }
}

/// The end of an answer that cannot be as its head says.
pub(super) fn changed() -> Error {
    Error::new(FILE_CHANGED, "the file changed while it was sent")
}

/// Why a file cannot be opened or looked at.
pub(super) fn of_looking(error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        // A name that is too long is that of no file.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => not_found(),
        Some(Errno::XDEV) => forbidden("the path leads out of the directory that is served"),
        Some(Errno::LOOP) => forbidden("the path goes through too many links"),
        Some(Errno::ACCESS | Errno::PERM) => forbidden("this proxy may not read it"),
        // Nothing else is opened than regular files and directories.
        Some(Errno::NXIO | Errno::NODEV) => forbidden("only regular files are served"),
        Some(Errno::MFILE | Errno::NFILE) => {
            Error::new(OVERLOADED, "too many files are open").because(error)
        }
        _ => Error::new(STORAGE_FAILED, "the file cannot be read").because(error),
    }
}

/// Why a directory cannot be written to.
pub(super) fn of_parent(error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR) => no_parent(),
        Some(Errno::NAMETOOLONG) => name_too_long(),
        _ => of_looking(error),
    }
}

/// Why a file cannot be written, or removed. What was there is as it was.
pub(super) fn of_writing(error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => disk_full().because(error),
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
            forbidden("this proxy may not write here").because(error)
        }
        Some(Errno::NOENT | Errno::NOTDIR) => no_parent(),
        Some(Errno::ISDIR) => is_directory(),
        Some(Errno::NAMETOOLONG) => name_too_long(),
        Some(Errno::XDEV | Errno::LOOP) => of_looking(error),
        Some(Errno::MFILE | Errno::NFILE) => {
            Error::new(OVERLOADED, "too many files are open").because(error)
        }
        _ => Error::new(STORAGE_FAILED, "the file cannot be written").because(error),
    }
}
