//! What an origin does with a request, step by step.

use std::sync::{Arc, Condvar, Mutex};

use super::wait::LIMIT;

/// The steps of an answer. Most scripts read the whole request first; one made by [`Script::at_head`] starts
/// while the body is still arriving.
#[derive(Clone)]
pub struct Script {
    pub(super) steps: Vec<Step>,
}

#[derive(Clone)]
pub(super) enum Step {
    ReadBody,
    ReadAtLeast(usize),
    Send(Vec<u8>),
    SendZeros(u64),
    EchoBody,
    EchoPieces,
    Tunnel,
    Wait(Gate),
    Stall,
    Close,
    Reset,
}

impl Script {
    /// Starts with the whole request read.
    pub fn new() -> Script {
        Script::at_head().then(Step::ReadBody)
    }

    /// Starts when the request's head is read.
    pub fn at_head() -> Script {
        Script { steps: Vec::new() }
    }

    /// 200 with this body.
    pub fn answer(body: &str) -> Script {
        Script::new().answering("200 OK", body)
    }

    /// 200 with the request's own body and content type.
    pub fn echo() -> Script {
        Script::new().then(Step::EchoBody)
    }

    /// 200 at once, then each piece of the request's body as it arrives, then its trailers.
    pub fn echo_pieces() -> Script {
        Script::at_head().then(Step::EchoPieces)
    }

    /// 200 with `length` zeros.
    pub fn zeros(length: u64) -> Script {
        Script::new()
            .send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
            ))
            .then(Step::SendZeros(length))
    }

    /// Switches to `protocol`, then sends back whatever comes; when the peer has ended its side, says
    /// `[end]` and ends its own. The accept key of a WebSocket is that of RFC 6455's sample, section 1.3.
    pub fn upgrade(protocol: &str) -> Script {
        let accept = match protocol {
            "websocket" => "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            _ => "",
        };
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n";
        Script::at_head()
            .send(format!("{head}upgrade: {protocol}\r\n{accept}\r\n"))
            .tunnel()
    }

    /// A sized answer.
    pub fn answering(self, status: &str, body: &str) -> Script {
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    /// Exactly these bytes.
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Script {
        let bytes = bytes.as_ref().to_vec();
        self.then(Step::Send(bytes))
    }

    /// At least so many raw bytes behind the head.
    pub fn read_at_least(self, length: usize) -> Script {
        self.then(Step::ReadAtLeast(length))
    }

    /// Sends back whatever comes, as [`Script::upgrade`] does.
    pub fn tunnel(self) -> Script {
        self.then(Step::Tunnel)
    }

    /// Goes on when the test opens the gate.
    pub fn wait(self, gate: &Gate) -> Script {
        self.then(Step::Wait(gate.clone()))
    }

    /// Reads and says nothing more until the peer closes.
    pub fn stall(self) -> Script {
        self.then(Step::Stall)
    }

    /// Closes, whatever was promised.
    pub fn close(self) -> Script {
        self.then(Step::Close)
    }

    /// Closes with RST.
    pub fn reset(self) -> Script {
        self.then(Step::Reset)
    }

    fn then(mut self, step: Step) -> Script {
        self.steps.push(step);
        self
    }
}

/// Holds an origin until the test lets it go on.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new() -> Gate {
        Gate::default()
    }

    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(super) fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_timeout_while(open, LIMIT, |open| !*open));
    }
}
