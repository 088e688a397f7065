//! What an origin saw.

use super::wire::Head;

/// Bodies are remembered up to here; beyond, only counted.
const REMEMBERED: usize = 1 << 20;

/// One request, as far as it has arrived.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Number of the connection that brought it, from 0.
    pub connection: usize,
    pub head: Head,
    /// The decoded body, its first MiB.
    pub body: Vec<u8>,
    /// Bytes of the decoded body.
    pub length: u64,
    pub trailers: Head,
    /// Whether its end has arrived.
    pub complete: bool,
}

impl Recorded {
    pub(super) fn new(connection: usize, head: Head) -> Recorded {
        Recorded {
            connection,
            head,
            body: Vec::new(),
            length: 0,
            trailers: Head::default(),
            complete: false,
        }
    }

    pub(super) fn add(&mut self, piece: &[u8]) {
        let room = REMEMBERED - self.body.len();
        self.body.extend_from_slice(&piece[..piece.len().min(room)]);
        self.length += piece.len() as u64;
    }

    pub fn method(&self) -> &str {
        self.head.word(0)
    }

    pub fn target(&self) -> &str {
        self.head.word(1)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
