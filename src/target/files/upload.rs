//! A file that is being written. It is seen when all of it is on the disk, and not before; whatever ends it earlier leaves
//! nothing behind.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use bytes::Bytes;
use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, RawDir, RenameFlags, fchmod, flock, fstat, fsync,
    linkat, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::path::UPLOADING;
use super::state::State;

/// As whoever runs this proxy lets new files be.
const MODE: Mode = Mode::from_raw_mode(0o666);
/// What an old file's rights are taken over of.
const RIGHTS: u32 = 0o777;
/// Memory that the kernel writes names to.
const BUFFER: usize = 16 << 10;

/// A file without a name, or with one that nobody asks for.
pub(super) struct Upload {
    directory: OwnedFd,
    file: OwnedFd,
    name: Option<Vec<u8>>,
}

impl Upload {
    /// Begins one in this directory, which is open for reading.
    ///
    /// # Errors
    /// Why nothing can be written there.
    pub fn begin(directory: OwnedFd) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let (file, name) = match openat(&directory, ".", flags | OFlags::TMPFILE, MODE) {
            // NFS, FUSE and others have no files without a name.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                let name = temporary();
                let exclusive = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let file = openat(&directory, &name[..], flags | exclusive, MODE)?;
                (file, Some(name))
            }
            file => (file?, None),
        };
        let upload = Upload {
            directory,
            file,
            name,
        };
        upload.lock();
        Ok(upload)
    }

    /// Shows that somebody still writes it: see [`sweep`]. What locks are not known to has none to sweep, either.
    fn lock(&self) {
        let _unknown = flock(&self.file, FlockOperation::NonBlockingLockExclusive);
    }

    /// # Errors
    /// Why it cannot be written.
    pub fn write(&self, pieces: &[Bytes]) -> io::Result<()> {
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                match rustix::io::write(&self.file, rest) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(count) => rest = &rest[count..],
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Has the disk take all that was written.
    ///
    /// # Errors
    /// It has not taken it.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.file)?)
    }

    /// Puts it under a name that nothing has.
    ///
    /// # Errors
    /// `EEXIST`: something has it.
    pub fn create(&mut self, name: &[u8]) -> io::Result<()> {
        match self.name.clone() {
            None => self.link(name)?,
            Some(own) => match self.rename(&own, name, RenameFlags::NOREPLACE) {
                // Not every file system can do that.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    let directory = &self.directory;
                    linkat(directory, &own[..], directory, name, AtFlags::empty())?;
                    unlinkat(directory, &own[..], AtFlags::empty())?;
                }
                renamed => renamed?,
            },
        }
        self.name = None;
        Ok(())
    }

    /// Puts it in the place of a file, whose rights it takes over.
    ///
    /// # Errors
    /// Why that is not possible; the file is as it was.
    pub fn replace(&mut self, name: &[u8], rights: u32) -> io::Result<()> {
        fchmod(&self.file, Mode::from_raw_mode(rights & RIGHTS))?;
        let own = match self.name.clone() {
            Some(own) => own,
            None => {
                let own = temporary();
                self.link(&own)?;
                self.name.insert(own).clone()
            }
        };
        renameat(&self.directory, &own[..], &self.directory, name)?;
        self.name = None;
        Ok(())
    }

    /// Has the disk take the name, too.
    ///
    /// # Errors
    /// It has not taken it, and may still do.
    pub fn finish(&self) -> io::Result<State> {
        fsync(&self.directory)?;
        Ok(State::of(&fstat(&self.file)?))
    }

    fn link(&self, name: &[u8]) -> io::Result<()> {
        let here = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        Ok(linkat(
            CWD,
            here,
            &self.directory,
            name,
            AtFlags::SYMLINK_FOLLOW,
        )?)
    }

    fn rename(&self, from: &[u8], to: &[u8], flags: RenameFlags) -> Result<(), Errno> {
        renameat_with(&self.directory, from, &self.directory, to, flags)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _gone = unlinkat(&self.directory, &name[..], AtFlags::empty());
        }
    }
}

fn temporary() -> Vec<u8> {
    let random = format!("{:032x}", fastrand::u128(..));
    [UPLOADING, random.as_bytes()].concat()
}

/// Removes what uploads have left in a directory that ended with their process.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn sweep(directory: &OwnedFd) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let listed = openat(directory, ".", flags, Mode::empty())?;
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut entries = RawDir::new(&listed, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_bytes().starts_with(UPLOADING) {
            continue;
        }
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(left) = openat(directory, name, flags, Mode::empty()) else {
            continue;
        };
        if flock(&left, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _gone = unlinkat(directory, name, AtFlags::empty());
        }
    }
    Ok(())
}
