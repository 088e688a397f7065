//! The request's body on its way to the upstream, and answers that do not wait for it.

use super::client::{came_back, upstream};
use super::*;
use crate::codec::h1::client::exchange;
use crate::http::error::{BAD_REQUEST, Progress, REQUEST_TIMEOUT, UPSTREAM_RESET};
use crate::testing::Caller;

#[tokio::test(start_paused = true)]
async fn an_early_answer_does_not_give_back_a_connection_with_a_body_half_sent() {
    for body in [
        Body::full(vec![b'x'; 8 << 20]),
        pieces(&["some", &"x".repeat(8 << 20)]),
    ] {
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        let mut post = request(Method::POST, "/", body);
        far.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            .await;
        let response = exchange(lent, &mut post).await.unwrap();
        assert_eq!(read_all(response.body).await.unwrap().0, "no");
        assert!(!came_back(&back));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_goes_on_while_the_answer_streams() {
    let (io, mut far) = unix();
    let (lent, back) = upstream(io);
    let (send, body) = channel();
    let mut post = request(Method::POST, "/", body);
    far.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let response = exchange(lent, &mut post).await.unwrap();
    let echo = async {
        far.read_head().await;
        for word in ["one", "two"] {
            send.send(data(word)).unwrap();
            assert_eq!(
                far.read_until(&format!("{word}\r\n")).await,
                format!("3\r\n{word}\r\n")
            );
            far.send(format!("3\r\n{word}\r\n")).await;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "6".parse().unwrap());
        send.send(Ok(http_body::Frame::trailers(trailers))).unwrap();
        assert_eq!(far.read_head().await, "0\r\nx-sum: 6\r\n\r\n");
        far.send("0\r\n\r\n").await;
    };
    let (read, ()) = tokio::join!(read_all(response.body), echo);
    assert_eq!(read.unwrap().0, "onetwo");
    assert!(came_back(&back));
}

/// An upstream that refuses a body answers and closes; the failure to send must not hide the answer.
#[tokio::test]
async fn an_answer_outlives_the_failure_to_send() {
    let (io, mut far) = tcp().await;
    let (lent, back) = upstream(io);
    let mut post = request(Method::POST, "/", Body::full(vec![b'x'; 8 << 20]));
    let refuse = async {
        far.read_head().await;
        far.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
            .await;
        drop(far);
    };
    let (response, ()) = tokio::join!(exchange(lent, &mut post), refuse);
    let response = response.unwrap();
    assert_eq!(response.status, 413);
    assert_eq!(read_all(response.body).await.unwrap().0, "no");
    assert!(!came_back(&back));
}

#[tokio::test(start_paused = true)]
async fn a_body_is_put_back_when_nothing_was_written() {
    let large = "x".repeat(5000);
    for sent in [&["one"][..], &["one", "two", "three"], &[&large, "two"]] {
        let (io, far) = unix();
        drop(far);
        let (lent, _) = upstream(io);
        let mut post = request(Method::POST, "/", pieces(sent));
        let error = exchange(lent, &mut post).await.unwrap_err();
        assert_eq!(error.progress(), Progress::Unsent);
        let body = std::mem::replace(&mut post.body, Body::empty());
        assert_eq!(read_all(body).await.unwrap().0, sent.concat());
    }
}

#[tokio::test(start_paused = true)]
async fn trailers_survive_being_put_back() {
    let (io, far) = unix();
    drop(far);
    let (lent, _) = upstream(io);
    let (send, body) = channel();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "6".parse().unwrap());
    send.send(Ok(http_body::Frame::trailers(trailers))).unwrap();
    drop(send);
    let mut post = request(Method::POST, "/", body);
    let error = exchange(lent, &mut post).await.unwrap_err();
    assert_eq!(error.progress(), Progress::Unsent);
    let body = std::mem::replace(&mut post.body, Body::empty());
    let (_, trailers) = read_all(body).await.unwrap();
    assert_eq!(trailers.unwrap()["x-sum"], "6");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_not_sent_again() {
    for some in [true, false] {
        let (io, _far) = unix();
        let (lent, back) = upstream(io);
        let (send, body) = channel();
        if some {
            send.send(data("some")).unwrap();
        }
        let mut post = request(Method::POST, "/", body);
        let fail = async {
            tokio::task::yield_now().await;
            send.send(Err(Error::new(BAD_REQUEST, "broken"))).unwrap();
        };
        let (outcome, ()) = tokio::join!(exchange(lent, &mut post), fail);
        let error = outcome.unwrap_err();
        assert_eq!(error.reason(), BAD_REQUEST);
        assert_eq!(error.progress(), Progress::Sent);
        assert!(!came_back(&back));
    }
}

fn expecting() -> Request {
    let mut put = request(Method::PUT, "/", pieces(&["abc"]));
    let (name, value) = field("expect", "100-continue");
    put.headers.insert(&name, &value);
    put.context.interim = Some(Arc::new(Caller::default()));
    put
}

#[tokio::test(start_paused = true)]
async fn a_body_waits_for_the_upstreams_continue() {
    let (io, mut far) = unix();
    let (lent, back) = upstream(io);
    let mut put = expecting();
    let answer = async {
        let head = far.read_head().await;
        assert!(head.contains("expect: 100-continue\r\n"), "{head}");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(far.read_now(), "");
        far.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        far.read_until("3\r\nabc\r\n0\r\n\r\n").await;
        far.send("HTTP/1.1 204 Done\r\n\r\n").await;
    };
    let (outcome, ()) = tokio::join!(exchange(lent, &mut put), answer);
    outcome.unwrap();
    assert!(came_back(&back));
}

#[tokio::test(start_paused = true)]
async fn a_body_does_not_wait_for_ever() {
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    let mut put = expecting();
    let start = tokio::time::Instant::now();
    let answer = async {
        far.read_until("0\r\n\r\n").await;
        assert_eq!(start.elapsed().as_secs(), 1);
        far.send("HTTP/1.1 204 Done\r\n\r\n").await;
    };
    let (outcome, ()) = tokio::join!(exchange(lent, &mut put), answer);
    outcome.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_unasked_does_not_wait() {
    let caller = Arc::new(Caller::default());
    // It comes meanwhile; then it is here from the start; then nobody could be asked, as in HTTP/1.0.
    for (interim, millis) in [
        (Some(caller.clone()), 300),
        (Some(caller.clone()), 0),
        (None, 0),
    ] {
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        let mut put = expecting();
        put.context.interim =
            interim.map(|caller| caller as Arc<dyn crate::http::message::Interim>);
        let start = tokio::time::Instant::now();
        let answer = async {
            if millis > 0 {
                far.read_head().await;
                tokio::time::sleep(Duration::from_millis(millis)).await;
                assert_eq!(far.read_now(), "");
                caller.begin_body();
            }
            far.read_until("3\r\nabc\r\n0\r\n\r\n").await;
            assert_eq!(start.elapsed(), Duration::from_millis(millis));
            far.send("HTTP/1.1 204 Done\r\n\r\n").await;
        };
        let (outcome, ()) = tokio::join!(exchange(lent, &mut put), answer);
        outcome.unwrap();
        assert!(came_back(&back));
    }
}

/// The connection to the caller is what knows whether its body has begun.
#[tokio::test(start_paused = true)]
async fn a_caller_that_does_not_wait_is_not_kept_waiting() {
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n";
    for (first, then) in [("abc", "def"), ("", "abcdef")] {
        let ((near, mut caller), (io, mut far)) = (unix(), unix());
        let mut connection = connection(near);
        let (lent, back) = upstream(io);
        caller.send(format!("{head}{first}")).await;
        let (head, body) = next(&mut connection).await;
        let mut put = request(Method::PUT, "/", body);
        put.headers = head.headers;
        put.context.interim = Some(connection.interim());
        let start = tokio::time::Instant::now();
        let answer = async {
            far.read_until(&format!("\r\n\r\n{first}")).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            caller.send(then).await;
            far.read_until(then).await;
            assert_eq!(start.elapsed(), Duration::from_millis(300), "{first}");
            far.send("HTTP/1.1 204 Done\r\n\r\n").await;
        };
        let exchange = attended(&mut connection, exchange(lent, &mut put));
        let (outcome, ()) = tokio::join!(exchange, answer);
        outcome.unwrap().unwrap();
        assert!(came_back(&back));
        drop(put);
        assert!(respond(&mut connection, ok("done"), true).await.unwrap());
        let answer = caller.read_now();
        assert!(answer.starts_with("HTTP/1.1 200"), "no 100: {answer}");
    }
}

/// An upstream may agree before it has read the request: raw bytes follow the end of the body all the same.
#[tokio::test(start_paused = true)]
async fn a_switch_waits_for_the_end_of_the_body() {
    for (expects, early) in [(false, true), (false, false), (true, true)] {
        let (io, mut far) = unix();
        let (lent, _) = upstream(io);
        let (send, body) = channel();
        let mut post = request(Method::POST, "/", body);
        post.upgrade = Some(HeaderValue::from_static("tcp"));
        if expects {
            post.headers = expecting().headers;
            post.context.interim = Some(Arc::new(Caller::default()));
        }
        let switched = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\nraw";
        let answer = async {
            let head = far.read_head().await;
            assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
            if early {
                far.send(switched).await;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            send.send(data("abc")).unwrap();
            drop(send);
            assert_eq!(far.read_until("0\r\n\r\n").await, "3\r\nabc\r\n0\r\n\r\n");
            if !early {
                far.send(switched).await;
            }
        };
        let (outcome, ()) = tokio::join!(exchange(lent, &mut post), answer);
        assert_eq!(outcome.unwrap().upgrade.unwrap().early, "raw");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_behind_a_switch_is_no_switch() {
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    let (send, body) = channel();
    let mut post = request(Method::POST, "/", body);
    post.upgrade = Some(HeaderValue::from_static("tcp"));
    far.send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: tcp\r\n\r\n")
        .await;
    send.send(Err(Error::new(BAD_REQUEST, "broken"))).unwrap();
    let error = exchange(lent, &mut post).await.unwrap_err();
    assert_eq!(error.reason(), BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_waits_is_not_sent_after_a_refusal() {
    let (io, mut far) = unix();
    let (lent, back) = upstream(io);
    let mut put = expecting();
    far.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        .await;
    let response = exchange(lent, &mut put).await.unwrap();
    assert_eq!(response.status, 403);
    assert_eq!(read_all(response.body).await.unwrap().0, "no");
    assert!(!came_back(&back), "the upstream may wait for the body");
    assert!(!far.read_to_end().await.contains("abc"));
}

/// The answer streams slowly: the body must not start behind its back, a second later.
#[tokio::test(start_paused = true)]
async fn a_refused_body_is_not_sent_while_the_refusal_streams() {
    let (io, mut far) = unix();
    let (lent, back) = upstream(io);
    let mut put = expecting();
    far.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nn")
        .await;
    let response = exchange(lent, &mut put).await.unwrap();
    let rest = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        far.send("o").await;
    };
    let (read, ()) = tokio::join!(read_all(response.body), rest);
    assert_eq!(read.unwrap().0, "no");
    assert!(!came_back(&back));
    assert!(!far.read_to_end().await.contains("abc"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_disagrees_with_its_length_does_not_reach_the_next_request() {
    for sent in ["abc", "abcdefg"] {
        let (io, mut far) = unix();
        let (lent, back) = upstream(io);
        let (send, body) = channel();
        send.send(data(sent)).unwrap();
        drop(send);
        let mut put = request(
            Method::PUT,
            "/",
            Body::stream(super::server_ends::Claims(5, body)),
        );
        far.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .await;
        let _ = exchange(lent, &mut put).await;
        assert!(!came_back(&back), "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_upstream_that_closes_under_a_body_is_a_reset() {
    let (io, mut far) = unix();
    let (lent, _) = upstream(io);
    let (_send, body) = channel();
    let mut post = request(Method::POST, "/", body);
    let close = async {
        far.read_head().await;
        drop(far);
    };
    let (outcome, ()) = tokio::join!(exchange(lent, &mut post), close);
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.reason(), error.progress()),
        (UPSTREAM_RESET, Progress::Sent)
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_caller_gives_way_to_those_who_wait() {
    let long: &'static str = "a".repeat(600).leak();
    for (wanted, piece, gives_way) in [(true, "a", true), (true, long, false), (false, "a", false)]
    {
        let (io, mut far) = unix();
        let (mut lent, _) = upstream(io);
        lent.wanted = wanted;
        let (send, body) = channel();
        let mut post = request(Method::POST, "/", body);
        let dribble = async {
            for _ in 0..10 {
                // A receiver that is gone is the refusal.
                let _ = send.send(data(piece));
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            drop(send);
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            let _ = far.0.write_all(answer).await;
        };
        let (outcome, ()) = tokio::join!(exchange(lent, &mut post), dribble);
        match outcome {
            Ok(response) => assert!(!gives_way && response.status == 200),
            Err(error) => assert!(gives_way && error.reason() == REQUEST_TIMEOUT, "{error}"),
        }
    }
}
