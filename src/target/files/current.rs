//! What is at a path before something else is.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, statat};
use rustix::io::Errno;

use super::failure;
use super::path::Wanted;
use super::root::Root;
use super::state::State;
use crate::http::error::Error;
use crate::http::headers::Headers;
use crate::http::semantics::conditional::{self, Validators, Verdict};

/// The file that is there, if one is.
pub(super) struct Current(Option<Stat>);

impl Current {
    pub fn nothing() -> Self {
        Current(None)
    }

    /// Looks at what `path` leads to.
    ///
    /// # Errors
    /// What no file may take the place of.
    pub fn at(root: &Root, path: &[u8]) -> Result<Self, Error> {
        let found = match root.find(path, OFlags::PATH, Mode::empty()) {
            Ok(found) => found,
            Err(error) => {
                return match Errno::from_io_error(&error) {
                    Some(Errno::NOENT) => Ok(Current(None)),
                    Some(Errno::NOTDIR) => Err(failure::no_parent()),
                    _ => Err(failure::of_looking(error)),
                };
            }
        };
        let stat = fstat(&found).map_err(|error| failure::of_looking(error.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Current(Some(stat))),
            FileType::Directory => Err(failure::is_directory()),
            _ => Err(failure::forbidden("only regular files are replaced")),
        }
    }

    /// Whether there is a link at the path, and nothing to which it leads.
    ///
    /// # Errors
    /// The disk failed.
    pub fn is_link_to_nothing(root: &Root, wanted: &Wanted) -> Result<bool, Error> {
        let (above, name) = wanted.split();
        let directory = root.find(above, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        let directory = directory.map_err(failure::of_looking)?;
        Ok(link_at(&directory, name) && Current::at(root, &wanted.path)?.0.is_none())
    }

    /// The rights of the file that is there.
    pub fn rights(&self) -> Option<u32> {
        self.0.as_ref().map(|stat| stat.st_mode)
    }

    /// Judges the conditions of a request that changes it.
    ///
    /// # Errors
    /// `precondition_failed`
    pub fn judge(&self, headers: &Headers) -> Result<(), Error> {
        if !conditional::has_conditions(headers) {
            return Ok(());
        }
        // Who has a strong tag was given it when no change could go unseen any more.
        let current = self.0.as_ref().map(|stat| {
            let state = State::of(stat);
            Validators {
                tag: state.tag(false),
                modified: state.modified(),
            }
        });
        match conditional::judge(false, headers, current.as_ref()) {
            Verdict::Holds => Ok(()),
            _ => Err(failure::precondition()),
        }
    }
}

fn link_at(directory: &OwnedFd, name: &[u8]) -> bool {
    statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}
