use super::*;
use std::time::Duration;

use http::{HeaderMap, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::net::resolve::SystemResolver;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
/// Reads the request, and closes without an answer.
const CLOSE: &str = "";
/// Reads the request, and never answers.
const STALL: &str = "stall";

/// Gives the nth connection the nth list of answers, one for each request, and closes it after them.
struct Server {
    port: u16,
    /// What was asked, by connection.
    asked: Arc<Mutex<Vec<Vec<String>>>>,
    _connections: JoinSet<()>,
}

impl Server {
    async fn start(scripts: &[&[&'static str]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scripts: Vec<Vec<&str>> = scripts.iter().map(|script| script.to_vec()).collect();
        let asked: Arc<Mutex<Vec<Vec<String>>>> = Arc::default();
        let mut connections = JoinSet::new();
        let recorded = asked.clone();
        connections.spawn(async move {
            let mut playing = JoinSet::new();
            for (index, script) in scripts.into_iter().enumerate() {
                let (socket, _) = listener.accept().await.unwrap();
                recorded.lock().unwrap().push(Vec::new());
                playing.spawn(play(socket, script, recorded.clone(), index));
            }
            playing.join_all().await;
        });
        Server {
            port,
            asked,
            _connections: connections,
        }
    }

    fn call(&self, method: Method) -> Call {
        let body = match method {
            Method::POST => "body",
            _ => "",
        };
        Call {
            method,
            url: format!("http://localhost:{}/token?x=1", self.port)
                .parse()
                .unwrap(),
            tls: None,
            headers: HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("a/b"))]),
            body: Bytes::from_static(body.as_bytes()),
            limit: 5,
        }
    }

    /// How many requests came on each connection.
    fn counts(&self) -> Vec<usize> {
        self.asked.lock().unwrap().iter().map(Vec::len).collect()
    }
}

async fn play(
    mut socket: TcpStream,
    script: Vec<&str>,
    asked: Arc<Mutex<Vec<Vec<String>>>>,
    index: usize,
) {
    for answer in script {
        let mut request = String::new();
        loop {
            let is_whole = if request.starts_with("POST") {
                request.ends_with("\r\n\r\nbody")
            } else {
                request.ends_with("\r\n\r\n")
            };
            if is_whole {
                break;
            }
            let mut part = [0; 4096];
            match socket.read(&mut part).await {
                Ok(length @ 1..) => request += &String::from_utf8_lossy(&part[..length]),
                _ => return,
            }
        }
        asked.lock().unwrap()[index].push(request);
        if answer == STALL {
            std::future::pending::<()>().await;
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
    }
}

fn client() -> Pooled {
    Pooled::new(Arc::new(SystemResolver::new()))
}

/// What a single call says is wrong.
async fn failure(method: Method, scripts: &[&[&'static str]]) -> (String, Server) {
    let server = Server::start(scripts).await;
    let answer = client().fetch(server.call(method)).await;
    (answer.unwrap_err(), server)
}

#[tokio::test]
async fn the_answer_comes_whole() {
    let created = "HTTP/1.1 201 Created\r\nx-a: b\r\ncontent-length: 5\r\n\r\nhello";
    let server = Server::start(&[&[created]]).await;
    let answer = client().fetch(server.call(Method::POST)).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.body[..]),
        (201, &b"hello"[..])
    );
    assert_eq!(answer.headers["x-a"], "b");
    let asked = server.asked.lock().unwrap()[0][0].clone();
    assert!(asked.starts_with("POST /token?x=1 HTTP/1.1\r\n"), "{asked}");
    let host = format!("host: localhost:{}\r\n", server.port);
    for part in [&*host, "accept: a/b\r\n", "outrigger/", "\r\n\r\nbody"] {
        assert!(asked.contains(part), "{asked}");
    }
    assert!(!asked.contains("connection:"), "{asked}");
}

#[tokio::test]
async fn an_answer_without_length_ends_with_the_connection() {
    let server = Server::start(&[&["HTTP/1.1 200 OK\r\n\r\nhello"]]).await;
    let answer = client().fetch(server.call(Method::GET)).await.unwrap();
    assert_eq!(&answer.body[..], b"hello");
}

#[tokio::test]
async fn the_next_call_to_a_server_has_the_same_connection() {
    let server = Server::start(&[&[OK, OK, OK]]).await;
    let client = client();
    for method in [Method::POST, Method::GET, Method::POST] {
        client.fetch(server.call(method)).await.unwrap();
    }
    assert_eq!(server.counts(), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_idle_for_long_is_closed_and_takes_no_call() {
    let server = Server::start(&[&[OK, OK], &[OK]]).await;
    let client = client();
    client.fetch(server.call(Method::POST)).await.unwrap();
    tokio::time::sleep(IDLE * 2).await;
    client.fetch(server.call(Method::POST)).await.unwrap();
    assert_eq!(server.counts(), [1, 1]);
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_takes_no_call() {
    let server = Server::start(&[&[OK], &[OK]]).await;
    let client = client();
    client.fetch(server.call(Method::POST)).await.unwrap();
    client.fetch(server.call(Method::POST)).await.unwrap();
    assert_eq!(server.counts(), [1, 1]);
}

#[tokio::test]
async fn what_may_be_done_twice_is_asked_again() {
    let server = Server::start(&[&[CLOSE], &["HTTP/1.1 200 OK\r\ncontent-le"], &[OK]]).await;
    let answer = client().fetch(server.call(Method::GET)).await.unwrap();
    assert_eq!(&answer.body[..], b"ok");
    assert_eq!(server.counts(), [1, 1, 1]);

    // Not for ever.
    let (error, server) = failure(Method::GET, &[&[CLOSE], &[CLOSE], &[CLOSE], &[OK]]).await;
    assert!(error.contains("gave no answer"), "{error}");
    assert_eq!(server.counts(), [1, 1, 1]);
}

#[tokio::test]
async fn what_the_server_may_have_done_is_not_asked_again() {
    for broken in [CLOSE, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"] {
        let (_, server) = failure(Method::POST, &[&[broken], &[OK]]).await;
        assert_eq!(server.counts(), [1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_tried_again_after_a_moment() {
    let server = Server::start(&[]).await;
    let call = server.call(Method::POST);
    drop(server);
    let start = Instant::now();
    let error = client().fetch(call).await.unwrap_err();
    assert!(error.contains("cannot be reached: "), "{error}");
    let moments = Duration::from_millis(150)..Duration::from_millis(400);
    assert!(moments.contains(&start.elapsed()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn many_calls_at_once_share_a_few_connections() {
    let server = Server::start(&[&[OK; 50][..]; 50]).await;
    let client = client();
    let calls = (0..50).map(|_| client.fetch(server.call(Method::GET)));
    for answer in futures_util::future::join_all(calls).await {
        answer.unwrap();
    }
    let counts = server.counts();
    assert_eq!(counts.iter().sum::<usize>(), 50);
    assert!(counts.len() <= AT_ONCE, "{counts:?}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let away = "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n";
    let server = Server::start(&[&[away, OK]]).await;
    let answer = client().fetch(server.call(Method::GET)).await.unwrap();
    assert_eq!(answer.status.as_u16(), 302);
    assert_eq!(server.counts(), [1]);
}

#[tokio::test]
async fn what_is_too_long_or_broken_is_an_error() {
    for (answer, says) in [
        ("HTTP/1.1 200 OK\r\n\r\nhello!", "has more than 5 bytes"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello!",
            "has more than 5 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel",
            "broke off: error reading a body from connection",
        ),
        ("SSH-2.0\r\n", "gave no answer: invalid HTTP version parsed"),
        (
            CLOSE,
            "gave no answer: connection closed before message completed",
        ),
    ] {
        let (error, server) = failure(Method::POST, &[&[answer]]).await;
        let authority = format!("`localhost:{}`", server.port);
        assert!(error.contains(&authority), "{error}");
        assert!(error.ends_with(says), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_has_so_much_time_and_no_more() {
    for slow in [STALL, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel"] {
        let (error, _server) = failure(Method::POST, &[&[slow, STALL]]).await;
        assert!(
            error.ends_with("gave no whole answer within 10s"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_name_that_there_is_not_and_tls_that_there_is_not_are_told() {
    let server = Server::start(&[&[OK]]).await;
    for (url, says) in [
        (
            "http://nosuch.invalid/x".to_owned(),
            "`nosuch.invalid` cannot be resolved: there is no such name",
        ),
        (
            format!("https://localhost:{}/x", server.port),
            "is not called without TLS",
        ),
    ] {
        let call = Call {
            url: url.parse().unwrap(),
            ..server.call(Method::GET)
        };
        let error = client().fetch(call).await.unwrap_err();
        assert!(error.ends_with(says), "{error}");
    }
}
