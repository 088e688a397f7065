//! Finding a file without openat2(2), which kernels before 5.6 lack and some container runtimes refuse: name by name, as
//! the kernel would, through directories that are held open.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fstat, openat, readlinkat};
use rustix::io::Errno;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;
/// How often a name is looked at again that was one thing, and then another.
const ATTEMPTS: usize = 16;
/// As long as a path may be for the kernel, links on the way included.
const LONGEST: usize = 4096;

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens `path`, which does not leave `root`, whatever links are on the way.
///
/// # Errors
/// `EXDEV`: it would leave it. Else as openat2(2) with `RESOLVE_BENEATH`.
pub(super) fn open(root: &OwnedFd, path: &[u8], flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut walk = Walk {
        root,
        above: Vec::new(),
        names: names(path),
        links: 0,
    };
    for _ in 0..ATTEMPTS {
        if let Some(opened) = walk.go_to_the_end(flags, mode)? {
            return Ok(opened);
        }
    }
    Err(Errno::AGAIN.into())
}

struct Walk<'a> {
    root: &'a OwnedFd,
    /// The directories below the root in which the walk stands, the innermost last.
    above: Vec<OwnedFd>,
    names: VecDeque<Vec<u8>>,
    links: usize,
}

impl Walk<'_> {
    fn here(&self) -> BorrowedFd<'_> {
        self.above.last().map_or(self.root.as_fd(), OwnedFd::as_fd)
    }

    /// None: the last name was something else when it was opened. It is still to be done.
    fn go_to_the_end(&mut self, flags: OFlags, mode: Mode) -> io::Result<Option<OwnedFd>> {
        while let Some(name) = self.names.pop_front() {
            match name.as_slice() {
                b"." => continue,
                b".." => {
                    self.above.pop().ok_or(Errno::XDEV)?;
                    continue;
                }
                _ => {}
            }
            let found = match openat(self.here(), &name[..], LOOK, Mode::empty()) {
                Err(Errno::NOENT) if self.names.is_empty() && flags.contains(OFlags::CREATE) => {
                    None
                }
                found => Some(found?),
            };
            let kind = match &found {
                Some(found) => FileType::from_raw_mode(fstat(found)?.st_mode),
                None => FileType::RegularFile,
            };
            match (kind, found) {
                (FileType::Symlink, Some(link)) => self.follow(&link)?,
                (FileType::Directory, Some(directory)) => self.above.push(directory),
                _ if !self.names.is_empty() => return Err(Errno::NOTDIR.into()),
                _ => {
                    let opened = openat(self.here(), &name[..], flags | OFlags::NOFOLLOW, mode);
                    return match opened {
                        Ok(opened) => Ok(Some(opened)),
                        // It has become a link.
                        Err(Errno::LOOP) => {
                            self.names.push_front(name);
                            Ok(None)
                        }
                        Err(error) => Err(error.into()),
                    };
                }
            }
        }
        Ok(Some(openat(self.here(), ".", flags, mode)?))
    }

    fn follow(&mut self, link: &OwnedFd) -> io::Result<()> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        let target = readlinkat(link, "", Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            return Err(Errno::XDEV.into());
        }
        let waiting: usize = self.names.iter().map(|name| name.len() + 1).sum();
        if waiting + target.len() > LONGEST {
            return Err(Errno::NAMETOOLONG.into());
        }
        let mut names = names(&target);
        names.append(&mut self.names);
        self.names = names;
        Ok(())
    }
}

fn names(path: &[u8]) -> VecDeque<Vec<u8>> {
    let names = path.split(|byte| *byte == b'/');
    names
        .filter(|name| !name.is_empty())
        .map(<[u8]>::to_vec)
        .collect()
}
