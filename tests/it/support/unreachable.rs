//! Addresses where connecting takes for ever, or is refused.

use std::net::{SocketAddr, TcpListener, TcpStream};
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
        let listener = bound();
        listener.listen(0).expect("a bound socket");
        let address = address_of(&listener);
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

/// An address where connecting is refused: its port is taken, but nobody listens.
pub struct Refusing(Socket);

impl Refusing {
    pub fn bind() -> Refusing {
        Refusing(bound())
    }

    pub fn address(&self) -> SocketAddr {
        address_of(&self.0)
    }

    /// Somebody listens there now.
    pub fn listen(self) -> TcpListener {
        self.0.listen(128).expect("a bound socket");
        self.0.into()
    }
}

fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any_port.into()).expect("a free port");
    socket
}

fn address_of(socket: &Socket) -> SocketAddr {
    let address = socket.local_addr().expect("a bound socket");
    address.as_socket().expect("a TCP address")
}
