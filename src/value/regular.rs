//! Reading the files that a config names: regular ones only, and so that it can be told which one does not answer.

use std::cell::RefCell;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::pipe::PipeFlags;

/// The largest file that is read where nobody sets a narrower limit, in bytes.
pub const LARGEST: u64 = 64 << 20;

/// The content of a regular file of at most `limit` bytes. It blocks for as long as its file system does.
///
/// # Errors
/// Why it cannot be read, in words that stand well behind "cannot read it: ".
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    asking(path, || {
        // A device may do something when it is opened.
        must_be_regular(&fs::metadata(path)?)?;
        let mut options = OpenOptions::new();
        // `O_NONBLOCK`, under the name by which pipes have it: what has become a FIFO meanwhile is not waited for.
        let unblocked = PipeFlags::NONBLOCK.bits().cast_signed();
        let file = options.read(true).custom_flags(unblocked).open(path)?;
        must_be_regular(&file.metadata()?)?;
        let mut content = Vec::new();
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it has more than {limit} bytes"),
            ))
        } else {
            Ok(content)
        }
    })
}

/// What is waited for when a FIFO is opened may never come, and a device may never end.
fn must_be_regular(found: &Metadata) -> io::Result<()> {
    let kind = found.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    };
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {what}, and only regular files are read"),
    ))
}

/// What a thread asks of the file system at the moment. Another thread sees by it which file does not answer, as on
/// a network file system whose server is gone.
#[derive(Default)]
pub struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    questions: u64,
    open: Option<PathBuf>,
}

thread_local! {
    static SHOWN: RefCell<Option<Arc<Progress>>> = const { RefCell::new(None) };
}

impl Progress {
    /// Shows here what this thread asks from now on.
    pub fn show(self: &Arc<Self>) {
        SHOWN.set(Some(self.clone()));
    }

    /// The question that has no answer yet: its number, and the path that it is about.
    pub fn open_question(&self) -> Option<(u64, PathBuf)> {
        let state = self.state();
        Some((state.questions, state.open.clone()?))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the file system something about `path`, where others can see it.
pub fn asking<T>(path: &Path, ask: impl FnOnce() -> T) -> T {
    let shown = SHOWN.with_borrow(Clone::clone);
    if let Some(progress) = &shown {
        let mut state = progress.state();
        state.questions += 1;
        state.open = Some(path.to_owned());
    }
    let answer = ask();
    if let Some(progress) = &shown {
        progress.state().open = None;
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn only_regular_files_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, what) in [
            (fifo.as_path(), "a FIFO"),
            (&socket, "a socket"),
            (dir.path(), "a directory"),
            (Path::new("/dev/zero"), "a device"),
        ] {
            let error = read(path, 9).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_file_is_read_up_to_a_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "hello").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"hello");
        let error = read(&path, 4).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 4 bytes");
    }

    #[test]
    fn others_see_which_file_is_asked_for() {
        let progress = Arc::new(Progress::default());
        let shown = progress.clone();
        std::thread::spawn(move || {
            shown.show();
            for number in 1..=2 {
                asking(Path::new("/a"), || {
                    let open = Some((number, PathBuf::from("/a")));
                    assert_eq!(shown.open_question(), open);
                });
                assert_eq!(shown.open_question(), None);
            }
        })
        .join()
        .unwrap();
        asking(Path::new("/b"), || ());
        assert_eq!(progress.state().questions, 2);
    }
}
