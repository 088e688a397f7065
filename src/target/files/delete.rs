//! DELETE: a file, a link, or a directory with nothing in it.

use std::sync::Arc;

use http::StatusCode;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, fsync, statat, unlinkat};
use rustix::io::Errno;

use super::Files;
use super::current::Current;
use super::failure;
use super::path::Wanted;
use super::root::{PATIENCE, Root};
use crate::http::body::Body;
use crate::http::error::Error;
use crate::http::headers::Headers;
use crate::http::message::{Request, Response};

impl Files {
    pub(super) async fn delete(&self, mut request: Box<Request>) -> Result<Box<Response>, Error> {
        let wanted = self.wanted(&request)?;
        if wanted.is_root() {
            return Err(failure::forbidden("the directory that is served stays"));
        }
        let headers = std::mem::take(&mut request.headers);
        let root = self.root.clone();
        let delete = move || delete(&root, &wanted, &headers);
        self.root.run(PATIENCE, delete).await??;
        Ok(Box::new(Response::new(
            StatusCode::NO_CONTENT,
            Body::empty(),
        )))
    }
}

/// Removes what is at the path. It may wait for the disk.
fn delete(root: &Arc<Root>, wanted: &Wanted, headers: &Headers) -> Result<(), Error> {
    let (above, name) = wanted.split();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = root.find(above, flags, Mode::empty());
    let directory = directory.map_err(failure::of_looking)?;
    {
        let _other_writers_wait = root.lock(&wanted.path);
        let found = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let found = found.map_err(|error| failure::of_looking(error.into()))?;
        let flags = match (FileType::from_raw_mode(found.st_mode), wanted.is_directory) {
            (FileType::Directory, true) => AtFlags::REMOVEDIR,
            (FileType::Directory, false) => return Err(failure::is_directory()),
            (_, true) => return Err(failure::not_found()),
            (FileType::RegularFile | FileType::Symlink, false) => {
                Current::at(root, &wanted.path)?.judge(headers)?;
                AtFlags::empty()
            }
            _ => return Err(failure::forbidden("only regular files are removed")),
        };
        unlinkat(&directory, name, flags).map_err(|error| match error {
            Errno::NOENT => failure::not_found(),
            Errno::NOTEMPTY | Errno::EXIST => failure::not_empty(),
            error => failure::of_writing(error.into()),
        })?;
    }
    fsync(&directory).map_err(|error| failure::of_writing(error.into()))
}
