//! Exchanges with an upstream that behaves, and what becomes of the connection.

use http::StatusCode;

use super::*;
use crate::codec::h1::client::{Connection as Upstream, Loan, exchange};
use crate::testing::Caller;

/// Lends one connection, and tells whether it came back.
pub(super) struct Lent {
    connection: Option<Upstream>,
    back: Arc<std::sync::Mutex<Option<Upstream>>>,
    pub wanted: bool,
}

pub(super) type Back = Arc<std::sync::Mutex<Option<Upstream>>>;

pub(super) fn lend(connection: Upstream) -> (Lent, Back) {
    let back = Back::default();
    let lent = Lent {
        connection: Some(connection),
        back: back.clone(),
        wanted: false,
    };
    (lent, back)
}

pub(super) fn upstream(io: Io) -> (Lent, Back) {
    lend(Upstream::new(io))
}

pub(super) fn came_back(back: &Back) -> bool {
    back.lock().unwrap().is_some()
}

impl Loan for Lent {
    fn connection(&mut self) -> &mut Upstream {
        self.connection.as_mut().unwrap()
    }

    fn is_wanted(&self) -> bool {
        self.wanted
    }

    fn give_back(mut self) {
        *self.back.lock().unwrap() = self.connection.take();
    }

    fn into_connection(mut self) -> Upstream {
        self.connection.take().unwrap()
    }
}

fn get() -> Request {
    request(Method::GET, "/", Body::empty())
}

#[tokio::test(start_paused = true)]
async fn a_request_is_written_as_it_should_be() {
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    let mut post = request(Method::POST, "/a?b", Body::full("body"));
    for (name, value) in [
        field("content-length", "99"),
        field("transfer-encoding", "chunked"),
        field("connection", "close"),
        field("te", "trailers"),
        field("x-kept", "1"),
    ] {
        post.headers.append(&name, &value);
    }
    let (_, sent) = tokio::join!(
        async { tokio::time::timeout(Duration::from_secs(1), exchange(lent, &mut post)).await },
        far.read_until("body")
    );
    assert_eq!(
        sent,
        "POST /a?b HTTP/1.1\r\nhost: upstream.test\r\nte: trailers\r\nx-kept: 1\r\ncontent-length: 4\r\nconnection: te\r\n\r\nbody"
    );
}

#[tokio::test(start_paused = true)]
async fn the_connection_comes_back_exactly_when_it_may() {
    for (method, answer, body, reused) in [
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        ("GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", true),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "ok",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
            "",
            true,
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "", true),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            "",
            true,
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "",
            true,
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "",
            true,
        ),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        (
            "GET",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            true,
        ),
        // The upstream says so.
        (
            "GET",
            "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        (
            "GET",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            false,
        ),
        // Bytes behind the answer belong to no request.
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!",
            "ok",
            false,
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\r\n",
            "ok",
            false,
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "",
            false,
        ),
        // A status without a body that claims to have one: its bytes may follow later.
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
            "",
            false,
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "",
            false,
        ),
    ] {
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        let mut request = request(method.parse().unwrap(), "/", Body::empty());
        far.send(answer).await;
        let response = exchange(lent, &mut request).await.expect(answer);
        assert_eq!(read_all(response.body).await.unwrap().0, body, "{answer}");
        assert_eq!(came_back(&back), reused, "{answer}");
        // The same, a byte at a time.
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        let crumbs = tokio::spawn(async move {
            for byte in answer.bytes() {
                far.send([byte]).await;
                tokio::task::yield_now().await;
            }
            far
        });
        let response = exchange(lent, &mut request).await.expect(answer);
        assert_eq!(read_all(response.body).await.unwrap().0, body, "{answer}");
        let left_over = answer.ends_with("ok!")
            || answer.ends_with("\r\n\r\n\r\n")
            || method == "HEAD" && answer.ends_with("ok");
        let mut connection = back.lock().unwrap().take();
        let _far = crumbs.await.unwrap();
        match &mut connection {
            Some(connection) if left_over => assert!(!connection.is_quiet(true), "{answer}"),
            connection => assert_eq!(connection.is_some(), reused, "{answer}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_connection_serves_many_exchanges() {
    let (io, mut far) = unix();
    let mut connection = Upstream::new(io);
    for round in 0..5 {
        let (lent, back) = lend(connection);
        let mut post = request(Method::POST, "/", pieces(&["some", "thing"]));
        far.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        let response = exchange(lent, &mut post).await.unwrap();
        let answer = async {
            let sent = far.read_until("0\r\n\r\n").await;
            assert!(
                sent.ends_with("4\r\nsome\r\n5\r\nthing\r\n0\r\n\r\n"),
                "{sent}"
            );
            far.send("2\r\nok\r\n0\r\nx-sum: 9\r\n\r\n").await;
        };
        let (read, ()) = tokio::join!(read_all(response.body), answer);
        let (data, trailers) = read.unwrap();
        assert_eq!(
            (&data[..], &trailers.unwrap()["x-sum"]),
            (&b"ok"[..], &"9".parse().unwrap())
        );
        connection = back.lock().unwrap().take().expect("given back");
        assert!(
            connection.is_quiet(true) && connection.is_quiet(false),
            "{round}"
        );
    }
    far.send("x").await;
    tokio::task::yield_now().await;
    assert!(!connection.is_quiet(true) && !connection.is_quiet(false));
}

#[tokio::test(start_paused = true)]
async fn an_answer_until_close_ends_with_the_connection() {
    let (io, mut far) = unix();
    let (lent, back) = upstream(io);
    far.send("HTTP/1.1 200 OK\r\n\r\nall of it").await;
    let response = exchange(lent, &mut get()).await.unwrap();
    assert_eq!(http_body::Body::size_hint(&response.body).exact(), None);
    far.finish().await;
    assert_eq!(read_all(response.body).await.unwrap().0, "all of it");
    assert!(!came_back(&back));
}

#[tokio::test(start_paused = true)]
async fn interim_answers_are_handed_on() {
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    let heard = Arc::new(Caller::default());
    let mut request = get();
    request.context.interim = Some(heard.clone());
    far.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    exchange(lent, &mut request).await.unwrap();
    assert_eq!(heard.heard(), [(103, Some("</x>".to_owned()))]);
}

#[tokio::test(start_paused = true)]
async fn a_switch_hands_out_the_connection() {
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    let mut request = get();
    request.upgrade = Some(HeaderValue::from_static("websocket"));
    far.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\nearly")
        .await;
    let response = exchange(lent, &mut request).await.unwrap();
    assert_eq!(response.status, StatusCode::SWITCHING_PROTOCOLS);
    let upgraded = response.upgrade.unwrap();
    assert_eq!(upgraded.early, "early");
    assert_eq!(upgraded.protocol.unwrap(), "WebSocket");
    let sent = far.read_now();
    assert!(
        sent.contains("connection: upgrade\r\nupgrade: websocket\r\n"),
        "{sent}"
    );
    upgraded.io.try_write(b"raw").unwrap();
    assert_eq!(far.read_now(), "raw");
}

/// What is for one connection only is named as such, all of it.
#[tokio::test(start_paused = true)]
async fn a_switch_that_would_take_trailers_names_both() {
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    let mut request = get();
    let (te, trailers) = field("te", "trailers");
    request.headers.append(&te, &trailers);
    request.upgrade = Some(HeaderValue::from_static("websocket"));
    far.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    exchange(lent, &mut request).await.unwrap();
    let sent = far.read_now();
    assert!(
        sent.contains("connection: te, upgrade\r\nupgrade: websocket\r\n"),
        "{sent}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_hands_out_the_connection() {
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    let mut connect = request(Method::CONNECT, "/", Body::empty());
    connect.authority = Some("there:443".parse().unwrap());
    far.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nraw")
        .await;
    let response = exchange(lent, &mut connect).await.unwrap();
    assert_eq!(response.upgrade.unwrap().early, "raw");
    assert!(far.read_now().starts_with("CONNECT there:443 HTTP/1.1\r\n"));
}

#[tokio::test(start_paused = true)]
async fn how_long_the_upstream_keeps_the_connection_is_heard() {
    for (said, kept_for) in [
        ("", None),
        ("Keep-Alive: timeout=5, max=100\r\n", Some(4)),
        ("Keep-Alive: max=100,TIMEOUT = \"2\"\r\n", Some(1)),
        ("Keep-Alive: max=100\r\n", None),
        ("Keep-Alive: timeout=soon\r\n", None),
    ] {
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        let head = format!("HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\nok");
        far.send(head).await;
        exchange(lent, &mut get()).await.unwrap();
        let kept = back.lock().unwrap().as_ref().map(Upstream::kept_for);
        assert_eq!(kept, Some(kept_for.map(Duration::from_secs)), "{said}");
    }
    for seconds in [0, 1] {
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        let head = format!(
            "HTTP/1.1 200 OK\r\nKeep-Alive: timeout={seconds}\r\nContent-Length: 0\r\n\r\n"
        );
        far.send(head).await;
        exchange(lent, &mut get()).await.unwrap();
        assert!(!came_back(&back), "{seconds}");
    }
}
