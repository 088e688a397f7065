//! One hostile caller.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::answers::Answers;
use super::cases::{Case, Ending};
use super::due::Due;
use crate::support::LIMIT;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What became of the requests.
#[derive(Debug, Default)]
pub struct Tally {
    pub cases: u64,
    /// Answers, by status and reason.
    pub answers: BTreeMap<String, u64>,
    /// Sound requests on new connections to which the proxy closed without a word.
    pub unanswered: u64,
    /// Switches behind which all came back that was sent.
    pub echoed: u64,
    pub slowest: Duration,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.cases += other.cases;
        self.unanswered += other.unanswered;
        self.echoed += other.echoed;
        self.slowest = self.slowest.max(other.slowest);
        for (answer, count) in other.answers {
            *self.answers.entry(answer).or_default() += count;
        }
    }
}

/// Keeps its connection as long as all was well on it.
pub struct Caller {
    address: SocketAddr,
    kept: Option<TcpStream>,
    pub tally: Tally,
}

impl Caller {
    pub fn new(address: SocketAddr) -> Caller {
        Caller {
            address,
            kept: None,
            tally: Tally::default(),
        }
    }

    /// Sends one case.
    ///
    /// # Errors
    /// How the answers break the contract.
    pub fn run(&mut self, case: &Case) -> Result<(), String> {
        let begun = Instant::now();
        let kept = self.kept.take().filter(|_| !case.http2);
        let is_new = kept.is_none();
        let mut socket = match kept {
            Some(socket) => socket,
            None => connect(self.address).map_err(|error| format!("cannot connect: {error}"))?,
        };
        send(&mut socket, case);
        if stays(&socket, case.ending) {
            if case.bytes.starts_with(PREFACE) {
                receive_frames(&mut socket)?;
            } else {
                self.kept = self.judge(case, socket, is_new)?;
            }
        }
        self.tally.cases += 1;
        self.tally.slowest = self.tally.slowest.max(begun.elapsed());
        Ok(())
    }

    /// Gives the connection back when it may be used again.
    fn judge(
        &mut self,
        case: &Case,
        mut socket: TcpStream,
        is_new: bool,
    ) -> Result<Option<TcpStream>, String> {
        let due = Due::of(&case.bytes);
        let mut answers = Answers::new(&due, case.ending);
        let goes_on = answers.receive(&mut socket)?;
        let deserved_one = is_new && due.is_sound() && case.ending != Ending::HalfCloses;
        if deserved_one && answers.names.is_empty() {
            self.tally.unanswered += 1;
        }
        self.tally.echoed += u64::from(answers.is_echoed);
        for name in answers.names {
            *self.tally.answers.entry(name).or_default() += 1;
        }
        Ok(Some(socket).filter(|_| goes_on))
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    Ok(socket)
}

/// A proxy that has closed takes no more; what it said before is there to be read.
fn send(socket: &mut TcpStream, case: &Case) {
    for piece in case.pieces() {
        if socket.write_all(piece).is_err() {
            return;
        }
    }
}

/// Whether the caller is still there after what it does at the end.
fn stays(socket: &TcpStream, ending: Ending) -> bool {
    match ending {
        Ending::Waits | Ending::Silent => true,
        Ending::HalfCloses => {
            let _may_be_gone = socket.shutdown(Shutdown::Write);
            true
        }
        Ending::Closes => false,
        Ending::Resets => {
            let _may_be_gone = SockRef::from(socket).set_linger(Some(Duration::ZERO));
            false
        }
    }
}

/// Nothing but their end is waited for.
fn receive_frames(socket: &mut TcpStream) -> Result<(), String> {
    let mut first = Vec::new();
    while let Some(piece) = receive(socket)? {
        first.extend_from_slice(&piece[..piece.len().min(9 - first.len().min(9))]);
    }
    // A server speaks first of its settings (RFC 9113, section 3.4).
    match first.get(3) {
        None | Some(4) => Ok(()),
        Some(_) => Err(format!("no settings first: {}", first.escape_ascii())),
    }
}

/// What came; none at the end. Waiting for longer than anything may take is an error.
pub fn receive(socket: &mut TcpStream) -> Result<Option<Vec<u8>>, String> {
    let mut piece = [0; 16 << 10];
    match socket.read(&mut piece) {
        Ok(0) => Ok(None),
        Ok(read) => Ok(Some(piece[..read].to_vec())),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Err(format!("neither an answer nor an end within {LIMIT:?}"))
            }
            _ => Ok(None),
        },
    }
}
