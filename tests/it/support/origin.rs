//! A scripted HTTP/1.1 server that remembers every byte it was sent.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::CertificateDer;

use super::record::Recorded;
use super::script::{Script, Step};
use super::socket::Socket;
use super::tls_server::TlsServer;
use super::wait::{SOON, eventually};
use super::wire::{Framing, Head, Wire};

/// Echoes what has no script, unless [`Origin::otherwise`] names one. Closes everything when dropped.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// Per path, in the order of its requests; the last one stays.
    scripts: Mutex<HashMap<String, Vec<Script>>>,
    otherwise: Mutex<Option<Script>>,
    requests: Mutex<Vec<Recorded>>,
    open: Mutex<HashMap<usize, Socket>>,
    accepted: AtomicUsize,
    ended: AtomicBool,
    tls: Option<TlsServer>,
    /// Per connection, what its peer has shown.
    shown: Mutex<HashMap<usize, CertificateDer<'static>>>,
}

impl Origin {
    pub fn start() -> Origin {
        Origin::on_listener(TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// Speaks TLS.
    pub fn over_tls(tls: &TlsServer) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Origin::serving(listener, Some(tls.clone()))
    }

    pub fn on_listener(listener: TcpListener) -> Origin {
        Origin::serving(listener, None)
    }

    fn serving(listener: TcpListener, tls: Option<TlsServer>) -> Origin {
        let address = listener.local_addr().expect("a bound listener");
        let shared = Arc::new(Shared {
            tls,
            ..Shared::default()
        });
        let accepting = shared.clone();
        std::thread::spawn(move || accept(&listener, &accepting));
        Origin { address, shared }
    }

    /// The script of requests to this path (the query does not count). Given again, it is that of the next
    /// request to the path; the last one repeats.
    #[must_use]
    pub fn on(self, path: &str, script: Script) -> Origin {
        let mut scripts = self.shared.scripts.lock().unwrap();
        scripts.entry(path.to_owned()).or_default().push(script);
        drop(scripts);
        self
    }

    /// The script of every request to another path.
    #[must_use]
    pub fn otherwise(self, script: Script) -> Origin {
        *self.shared.otherwise.lock().unwrap() = Some(script);
        self
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request whose head has arrived, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests have arrived whole.
    pub fn complete(&self) -> usize {
        let requests = self.shared.requests.lock().unwrap();
        requests.iter().filter(|request| request.complete).count()
    }

    /// The only request so far, once its end has arrived.
    pub fn only_request(&self) -> Recorded {
        eventually(SOON, "one complete request at the origin", || {
            self.requests().iter().any(|request| request.complete)
        });
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "one request at the origin: {requests:?}");
        requests.remove(0)
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// What the peers have shown on connections that neither side has closed.
    pub fn shown_by_open(&self) -> Vec<CertificateDer<'static>> {
        let shown = self.shared.shown.lock().unwrap();
        let open = self.shared.open.lock().unwrap();
        open.keys()
            .filter_map(|number| shown.get(number).cloned())
            .collect()
    }

    /// Connections that neither side has closed.
    pub fn open_connections(&self) -> usize {
        self.shared.open.lock().unwrap().len()
    }

    /// Closes every connection, as a server does with idle ones.
    pub fn close_connections(&self) {
        for socket in self.shared.open.lock().unwrap().values() {
            let _already_gone = socket.shutdown(Shutdown::Both);
        }
        eventually(SOON, "the origin's connections end", || {
            self.open_connections() == 0
        });
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the accept loop, which then sees that it has ended.
        let _woken = TcpStream::connect(self.address);
        for socket in self.shared.open.lock().unwrap().values() {
            let _already_gone = socket.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for socket in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(socket) = socket else { continue };
        let _best_effort = socket.set_nodelay(true);
        let number = shared.accepted.fetch_add(1, Ordering::SeqCst);
        let socket = Socket::Tcp(socket);
        let Ok(handle) = socket.try_clone() else {
            continue;
        };
        shared.open.lock().unwrap().insert(number, handle);
        let shared = shared.clone();
        std::thread::spawn(move || {
            // An error is a peer that went away, which the test sees from its own side.
            let _gone = shared
                .secure(socket, number)
                .and_then(|socket| serve(&mut Wire::new(socket), number, &shared));
            shared.open.lock().unwrap().remove(&number);
        });
    }
}

impl Shared {
    fn secure(&self, socket: Socket, number: usize) -> io::Result<Socket> {
        match (&self.tls, socket) {
            (Some(tls), Socket::Tcp(socket)) => {
                let (socket, shown) = tls.accept(socket)?;
                let mut all = self.shown.lock().unwrap();
                all.extend(shown.map(|leaf| (number, leaf)));
                Ok(socket)
            }
            (_, socket) => Ok(socket),
        }
    }
}

fn serve(wire: &mut Wire, number: usize, shared: &Shared) -> io::Result<()> {
    while let Some(head) = wire.read_head()? {
        let close = head.lists("connection", "close") || head.start.ends_with("HTTP/1.0");
        let script = shared.script(&head);
        let mut exchange = Exchange {
            wire: &mut *wire,
            shared,
            index: shared.record(number, &head),
            framing: Some(head.request_framing()),
            head,
        };
        if !exchange.run(&script)? || close {
            return Ok(());
        }
    }
    Ok(())
}

impl Shared {
    fn script(&self, head: &Head) -> Script {
        let path = head.word(1).split('?').next().unwrap_or_default();
        let mut scripts = self.scripts.lock().unwrap();
        match scripts.get_mut(path) {
            None => self
                .otherwise
                .lock()
                .unwrap()
                .clone()
                .unwrap_or_else(Script::echo),
            Some(queue) if queue.len() > 1 => queue.remove(0),
            Some(queue) => queue[0].clone(),
        }
    }

    fn record(&self, connection: usize, head: &Head) -> usize {
        let mut requests = self.requests.lock().unwrap();
        requests.push(Recorded::new(connection, head.clone()));
        requests.len() - 1
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut Recorded)) {
        change(&mut self.requests.lock().unwrap()[index]);
    }
}

/// One request and its answer.
struct Exchange<'a> {
    wire: &'a mut Wire,
    shared: &'a Shared,
    /// Where the request is recorded.
    index: usize,
    /// None once the body is read.
    framing: Option<Framing>,
    head: Head,
}

impl Exchange<'_> {
    /// Whether the connection may carry another request.
    fn run(&mut self, script: &Script) -> io::Result<bool> {
        for step in &script.steps {
            match step {
                Step::ReadBody => self.read_body()?,
                Step::ReadAtLeast(length) => self.read_at_least(*length)?,
                Step::Send(bytes) => self.wire.write(bytes)?,
                Step::SendZeros(length) => self.send_zeros(*length)?,
                Step::EchoBody => self.echo_body()?,
                Step::EchoPieces => self.echo_pieces()?,
                Step::Wait(gate) => gate.wait(),
                Step::Tunnel => return self.tunnel().map(|()| false),
                Step::Stall => return self.stall().map(|()| false),
                Step::Close => return Ok(false),
                Step::Reset => {
                    self.wire.socket.reset_on_close()?;
                    // RST goes out when the last handle goes.
                    let number = self.shared.requests.lock().unwrap()[self.index].connection;
                    self.shared.open.lock().unwrap().remove(&number);
                    return Ok(false);
                }
            }
        }
        self.read_body()?;
        Ok(true)
    }

    fn read_body(&mut self) -> io::Result<()> {
        let Some(framing) = self.framing.take() else {
            return Ok(());
        };
        if self.head.get("expect").is_some() && framing != Framing::Sized(0) {
            self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let (shared, index) = (self.shared, self.index);
        let trailers = self.wire.read_body(framing, &mut |piece| {
            shared.update(index, |request| request.add(piece));
        })?;
        self.finish(trailers);
        Ok(())
    }

    fn read_at_least(&mut self, length: usize) -> io::Result<()> {
        let mut read = 0;
        let (shared, index) = (self.shared, self.index);
        while read < length
            && self.wire.read_some(&mut |piece| {
                read += piece.len();
                shared.update(index, |request| request.add(piece));
            })?
        {}
        // What is left is not known any more: the script must close.
        self.framing = None;
        Ok(())
    }

    fn echo_body(&mut self) -> io::Result<()> {
        let body = self.shared.requests.lock().unwrap()[self.index]
            .body
            .clone();
        let kind = self
            .head
            .get("content-type")
            .unwrap_or("application/octet-stream");
        let length = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
        self.wire.write(head.as_bytes())?;
        match self.head.word(0) {
            "HEAD" => Ok(()),
            _ => self.wire.write(&body),
        }
    }

    fn echo_pieces(&mut self) -> io::Result<()> {
        self.wire
            .write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let Some(framing) = self.framing.take() else {
            return Ok(());
        };
        let mut back = Wire::new(self.wire.socket.try_clone()?);
        let mut written = Ok(());
        let (shared, index) = (self.shared, self.index);
        let trailers = self.wire.read_body(framing, &mut |piece| {
            shared.update(index, |request| request.add(piece));
            let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            if written.is_ok() {
                written = back.write(&chunk);
            }
        })?;
        written?;
        let mut end = b"0\r\n".to_vec();
        for (name, value) in &trailers.fields {
            end.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        end.extend_from_slice(b"\r\n");
        self.finish(trailers);
        self.wire.write(&end)
    }

    fn send_zeros(&mut self, mut left: u64) -> io::Result<()> {
        let zeros = [0; 64 << 10];
        while left > 0 {
            let now = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
            self.wire.write(&zeros[..now])?;
            left -= now as u64;
        }
        Ok(())
    }

    fn tunnel(&mut self) -> io::Result<()> {
        let mut piece = Vec::new();
        while self
            .wire
            .read_some(&mut |bytes| piece.extend_from_slice(bytes))?
        {
            self.shared
                .update(self.index, |request| request.add(&piece));
            self.wire.write(&piece)?;
            piece.clear();
        }
        self.wire.write(b"[end]")?;
        self.wire.socket.shutdown(Shutdown::Write)
    }

    fn stall(&mut self) -> io::Result<()> {
        let (shared, index) = (self.shared, self.index);
        while self.wire.read_some(&mut |piece| {
            shared.update(index, |request| request.add(piece));
        })? {}
        Ok(())
    }

    fn finish(&self, trailers: Head) {
        self.shared.update(self.index, |request| {
            request.trailers = trailers;
            request.complete = true;
        });
    }
}
