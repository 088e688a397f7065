//! PUT: a file is written whole, or not at all.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use rustix::fs::{Mode, OFlags, fsync, mkdirat};
use rustix::io::Errno;

use super::Files;
use super::current::Current;
use super::failure;
use super::get::put_validators;
use super::path::Wanted;
use super::root::{PATIENCE, Root};
use super::state::{Care, Clock, State};
use super::upload::{self, Upload};
use crate::http::body::Body;
use crate::http::error::{BAD_REQUEST, Error, Progress};
use crate::http::headers::Headers;
use crate::http::message::{Request, Response};

/// So many bytes are gathered before they are written.
const PIECE: usize = 256 << 10;
/// Nor more pieces: each holds the memory into which it was read, however small it is.
const MOST_PIECES: usize = 64;
/// How long the disk may take for all of a file.
const COMMIT: Duration = Duration::from_secs(600);
/// How often another writer may be first.
const ATTEMPTS: usize = 16;
/// How often it is looked whether the tick of the file's last change is over. A tick has at most 10 ms.
const LOOKS: u32 = 40;
/// As whoever runs this proxy lets new directories be.
const DIRECTORY: Mode = Mode::from_raw_mode(0o777);

const OPEN_DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

impl Files {
    pub(super) async fn put(&self, mut request: Box<Request>) -> Result<Box<Response>, Error> {
        let wanted = self.wanted(&request)?;
        self.check_upload(&request, &wanted)?;
        let mut body = std::mem::replace(&mut request.body, Body::empty());
        let headers = Arc::new(std::mem::take(&mut request.headers));
        let target = Target {
            root: self.root.clone(),
            wanted: Arc::new(wanted),
            headers,
        };
        let (beside, create) = (target.clone(), self.create_dirs);
        let begin = move || beside.begin(create);
        let upload = Arc::new(self.root.run(PATIENCE, begin).await??);
        self.receive(&mut body, &upload).await?;
        let Some(upload) = Arc::into_inner(upload) else {
            return Err(failure::of_writing(io::ErrorKind::Other.into()));
        };
        // From here on it may be stored, whatever is heard of it.
        let commit = move || target.commit(upload);
        let stored = self.root.run(COMMIT, commit).await;
        let (state, created) = stored.map_err(|error| error.at(Progress::Sent))??;
        let status = if created {
            StatusCode::CREATED
        } else {
            StatusCode::NO_CONTENT
        };
        let mut answer = Response::new(status, Body::empty());
        let clock = self.settled(&state).await;
        let validators = state.validators(clock, Care::AtOnce, self.root.is_local());
        put_validators(&mut answer.headers, &validators);
        Ok(Box::new(answer))
    }

    /// What can be refused before any of the body is asked for.
    fn check_upload(&self, request: &Request, wanted: &Wanted) -> Result<(), Error> {
        if wanted.is_directory || wanted.is_root() {
            return Err(failure::is_directory());
        }
        if request.headers.contains(&header::CONTENT_RANGE) {
            let detail = "a part cannot be put; send all of the file (RFC 9110, section 14.4)";
            return Err(Error::new(BAD_REQUEST, detail));
        }
        if let Some(coding) = request.headers.get(&header::CONTENT_ENCODING)
            && !coding.eq_ignore_ascii_case(b"identity")
        {
            let detail = "files are stored as they come; send this one without a content coding";
            let error = Error::new(failure::UNSUPPORTED_ENCODING, detail);
            return Err(error.with_header(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            ));
        }
        self.check_size(request.body.size_hint().lower())
    }

    fn check_size(&self, size: u64) -> Result<(), Error> {
        if size > self.max_file {
            Err(failure::too_large(self.max_file))
        } else if size > self.size_limit {
            Err(failure::disk_full())
        } else {
            Ok(())
        }
    }

    /// Writes the body as it comes.
    async fn receive(&self, body: &mut Body, upload: &Arc<Upload>) -> Result<(), Error> {
        let mut size = 0;
        let mut pieces: Vec<Bytes> = Vec::new();
        let mut gathered = 0;
        while let Some(frame) = body.frame().await.transpose()? {
            let Ok(data) = frame.into_data() else {
                continue;
            };
            size += data.len() as u64;
            self.check_size(size)?;
            gathered += data.len();
            pieces.push(data);
            if gathered >= PIECE || pieces.len() == MOST_PIECES {
                self.write(upload, std::mem::take(&mut pieces)).await?;
                gathered = 0;
            }
        }
        if pieces.is_empty() {
            return Ok(());
        }
        self.write(upload, pieces).await
    }

    async fn write(&self, upload: &Arc<Upload>, pieces: Vec<Bytes>) -> Result<(), Error> {
        let beside = upload.clone();
        let written = self
            .root
            .run(PATIENCE, move || beside.write(&pieces))
            .await?;
        written.map_err(failure::of_writing)
    }

    /// Waits until any later change of the file would show, so that its tag is a strong one.
    async fn settled(&self, state: &State) -> Clock {
        let mut clock = Clock::read();
        for _ in 0..LOOKS {
            if !self.root.is_local() || state.is_before(clock) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            clock = Clock::read();
        }
        clock
    }
}

/// Where a file is to be, and on which conditions. What it does may wait for the disk.
#[derive(Clone)]
struct Target {
    root: Arc<Root>,
    wanted: Arc<Wanted>,
    headers: Arc<Headers>,
}

impl Target {
    /// Begins the file beside where it is to be, if the conditions hold by now.
    fn begin(&self, create_dirs: bool) -> Result<Upload, Error> {
        let (above, name) = self.wanted.split();
        if name.len() > 255 {
            return Err(failure::name_too_long());
        }
        let directory = match self.root.find(above, OPEN_DIRECTORY, Mode::empty()) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound && create_dirs => {
                Current::nothing().judge(&self.headers)?;
                make_directories(&self.root, above).map_err(failure::of_writing)?
            }
            Err(error) => return Err(failure::of_parent(error)),
        };
        Current::at(&self.root, &self.wanted.path)?.judge(&self.headers)?;
        if self.root.is_new(&directory) {
            // What cannot be read cannot be swept, and need not be.
            let _unread = upload::sweep(&directory);
        }
        Upload::begin(directory).map_err(failure::of_writing)
    }

    /// Puts the file where it is to be, if the conditions still hold. Says whether there was none before.
    fn commit(&self, mut upload: Upload) -> Result<(State, bool), Error> {
        upload.sync().map_err(failure::of_writing)?;
        let (_, name) = self.wanted.split();
        let created = {
            let _other_writers_wait = self.root.lock(&self.wanted.path);
            self.put(&mut upload, name)?
        };
        let state = upload.finish().map_err(failure::of_writing)?;
        Ok((state, created))
    }

    fn put(&self, upload: &mut Upload, name: &[u8]) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS {
            let current = Current::at(&self.root, &self.wanted.path)?;
            current.judge(&self.headers)?;
            if let Some(rights) = current.rights() {
                upload.replace(name, rights).map_err(failure::of_writing)?;
                return Ok(false);
            }
            match upload.create(name) {
                Ok(()) => return Ok(true),
                // Another writer, or a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if Current::is_link_to_nothing(&self.root, &self.wanted)? {
                        upload.replace(name, 0o644).map_err(failure::of_writing)?;
                        return Ok(true);
                    }
                }
                Err(error) => return Err(failure::of_writing(error)),
            }
        }
        Err(failure::of_writing(Errno::AGAIN.into()))
    }
}

/// Makes the directories of `path` that are not there, and has the disk take them.
fn make_directories(root: &Root, path: &[u8]) -> io::Result<OwnedFd> {
    let mut here = root.find(b".", OPEN_DIRECTORY, Mode::empty())?;
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let ends: Vec<usize> = ends.map(|(at, _)| at).chain([path.len()]).collect();
    let mut start = 0;
    for end in ends {
        match mkdirat(&here, &path[start..end], DIRECTORY) {
            Ok(()) => fsync(&here)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        here = root.find(&path[..end], OPEN_DIRECTORY, Mode::empty())?;
        start = end + 1;
    }
    Ok(here)
}
