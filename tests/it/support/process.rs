//! A child process and what it printed.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::wait::{SOON, eventually, poll};

/// Killed when dropped.
pub struct Process {
    child: Child,
    stdout: Output,
    stderr: Output,
}

type Output = Arc<Mutex<Vec<u8>>>;

impl Process {
    pub fn spawn(command: &mut Command) -> Process {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        Process {
            stdout: collect(child.stdout.take()),
            stderr: collect(child.stderr.take()),
            child,
        }
    }

    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process can be signalled");
    }

    /// Whether it was stopped, and none of its threads runs on (proc_pid_stat(5)).
    pub fn stands_still(&self) -> bool {
        self.files("task").all(|thread| {
            let told = fs::read_to_string(thread.path().join("stat"));
            let told = told.unwrap_or_default();
            told.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let mut status = None;
        poll(limit, &mut || {
            status = self.exited();
            status.is_some()
        });
        let status = status.unwrap_or_else(|| panic!("the process did not end within {limit:?}"));
        self.wait_output();
        status
    }

    /// Waits for the rest of what an ended process has printed.
    pub fn wait_output(&self) {
        // Each collecting thread holds one of the two handles until its pipe ends.
        poll(SOON, &mut || {
            Arc::strong_count(&self.stdout) == 1 && Arc::strong_count(&self.stderr) == 1
        });
    }

    /// Resident memory of its own, in bytes: what is no page of a file.
    pub fn resident(&self) -> u64 {
        self.status("RssAnon:")
    }

    /// Resident pages of files, in bytes: code and constants of the program and of its libraries.
    pub fn resident_files(&self) -> u64 {
        self.status("RssFile:")
    }

    /// By how much resident memory, pages of the program among it, is below the most that it was, in bytes.
    pub fn below_peak(&self) -> u64 {
        self.status("VmHWM:").saturating_sub(self.status("VmRSS:"))
    }

    /// Has the kernel count the most of resident memory from now on (proc_pid_clear_refs(5)).
    pub fn forget_peak(&self) {
        let path = format!("/proc/{}/clear_refs", self.child.id());
        fs::write(path, "5").expect("the process runs");
    }

    fn status(&self, name: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the process runs");
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|kib| kib.parse::<u64>().ok());
        kib.unwrap_or_else(|| panic!("{name} in kB")) << 10
    }

    /// How many files it has open, once it has all of them: the watch on its config comes last, in a thread of its own,
    /// which may be after it is ready.
    pub fn open_files(&self) -> usize {
        eventually(SOON, "the config is watched", || self.watches_files());
        self.files("fd").count()
    }

    /// How many it has open of what is in `directory`, and of itself.
    pub fn open_below(&self, directory: &Path) -> usize {
        let targets = self
            .files("fd")
            .filter_map(|file| fs::read_link(file.path()).ok());
        targets
            .filter(|target| target.starts_with(directory))
            .count()
    }

    /// How many of its threads have this name.
    pub fn threads(&self, name: &str) -> usize {
        // One may have ended by now.
        let names = self
            .files("task")
            .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|found| found.trim_end() == name).count()
    }

    /// Whether one of its inotify instances has a watch (proc_pid_fdinfo(5)).
    fn watches_files(&self) -> bool {
        self.files("fdinfo").any(|entry| {
            let told = fs::read_to_string(entry.path());
            told.is_ok_and(|told| told.lines().any(|line| line.starts_with("inotify ")))
        })
    }

    fn files(&self, directory: &str) -> impl Iterator<Item = fs::DirEntry> {
        let path = format!("/proc/{}/{directory}", self.child.id());
        let entries = fs::read_dir(path).expect("the process runs");
        entries.map(|entry| entry.expect("the process runs"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Output {
    let output = Output::default();
    let collected = output.clone();
    let mut pipe = pipe.expect("a piped stream");
    std::thread::spawn(move || {
        // As much as a pipe holds (pipe(7)), so that what is collected ends where a write ended: lines are whole.
        let mut piece = vec![0; 64 << 10];
        while let Ok(read @ 1..) = pipe.read(&mut piece) {
            collected.lock().unwrap().extend_from_slice(&piece[..read]);
        }
    });
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.lock().unwrap()).into_owned()
}
