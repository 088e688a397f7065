//! An address where connecting takes for ever.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A listener that accepts nobody and whose backlog is full: the kernel drops further SYNs.
pub struct BlackHole {
    address: SocketAddr,
    _listener: Socket,
    _backlog: Vec<TcpStream>,
}

impl BlackHole {
    pub fn open() -> BlackHole {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
        listener.bind(&any_port.into()).expect("a free port");
        listener.listen(0).expect("a bound socket");
        let address = listener
            .local_addr()
            .expect("a bound socket")
            .as_socket()
            .expect("a TCP address");
        let mut backlog = Vec::new();
        while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            backlog.push(socket);
        }
        BlackHole {
            address,
            _listener: listener,
            _backlog: backlog,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// An address where connecting is refused: it was free a moment ago, and nobody is given it at once again.
pub fn refusing_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener")
}
