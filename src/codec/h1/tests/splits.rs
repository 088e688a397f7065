//! However the bytes of a connection are cut on their way, the same is read from them.

use http::StatusCode;
use proptest::prelude::*;

use super::client::upstream;
use super::wire::{Ended, Seen, cuts, fed, fields, flawed, map_fields, requests, run};
use super::*;
use crate::codec::h1::client::exchange;
use crate::http::error::CALLER_GONE;

/// Every request that the server half reads, and how it ends.
pub async fn read_requests(wire: &[u8], cuts: &[usize]) -> (Vec<Seen>, Ended) {
    let (io, far) = unix();
    let mut connection = connection(io);
    let mut seen = Vec::new();
    let serve = async {
        loop {
            let (head, body) = match connection.next(|| false, |head, body| (head, body)).await {
                Ok(Some(request)) => request,
                Ok(None) => return Ended::Well,
                Err(error) => return Ended::Refused(error.detail().to_owned()),
            };
            let (body, trailers) = match read_all(body).await {
                Ok(whole) => whole,
                Err(error) if error.reason() == CALLER_GONE => return Ended::Cut,
                Err(error) => return Ended::Refused(error.detail().to_owned()),
            };
            seen.push(Seen {
                method: head.method.to_string(),
                target: head.target.to_string(),
                fields: fields(head.headers.iter()),
                body: body.to_vec(),
                trailers: map_fields(trailers.as_ref()),
            });
            match respond(&mut connection, ok("seen"), true).await {
                Ok(true) => {}
                Ok(false) => return Ended::Well,
                Err(_) => return Ended::Cut,
            }
        }
    };
    let ended = fed(far, wire, cuts, serve).await;
    (seen, ended)
}

/// What the client half makes of an answer: the final status, the interim ones, fields, body, trailers.
async fn read_response(
    method: &Method,
    wire: &[u8],
    cuts: &[usize],
) -> Result<Answer, &'static str> {
    let (io, far) = unix();
    let (lent, _) = upstream(io);
    let mut request = request(method.clone(), "/", Body::empty());
    request.upgrade = Some(HeaderValue::from_static("websocket"));
    let hear = async {
        let response = exchange(lent, &mut request).await?;
        let headers = fields(response.headers.iter());
        let (body, trailers) = match response.upgrade {
            Some(upgraded) => {
                let mut read = BytesMut::from(&upgraded.early[..]);
                poll_fn(|cx| {
                    loop {
                        read.reserve(100);
                        match upgraded.io.poll_read(cx, &mut read) {
                            std::task::Poll::Ready(Ok(1..)) => {}
                            std::task::Poll::Ready(_) => return std::task::Poll::Ready(()),
                            std::task::Poll::Pending => return std::task::Poll::Pending,
                        }
                    }
                })
                .await;
                (read.freeze(), None)
            }
            None => read_all(response.body).await?,
        };
        Ok((
            response.status,
            headers,
            body,
            map_fields(trailers.as_ref()),
        ))
    };
    let heard = fed(far, wire, cuts, hear).await;
    heard.map_err(|error: Error| error.reason().name)
}

type Answer = (
    StatusCode,
    Vec<(String, Vec<u8>)>,
    Bytes,
    Vec<(String, Vec<u8>)>,
);

fn response() -> impl Strategy<Value = Vec<u8>> {
    let interim = prop::sample::select(vec![
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ]);
    let line = prop::sample::select(vec![
        "HTTP/1.1 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 404 ",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket",
    ]);
    let field = prop::sample::select(vec!["", "Connection: close\r\n", "X-A: b\r\n"]);
    (interim, line, field, super::wire::body()).prop_map(|(interim, line, field, body)| {
        let mut wire = format!("{interim}{line}\r\n{field}").into_bytes();
        wire.extend_from_slice(&body);
        wire
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn of_requests(wire in requests(), cuts in cuts()) {
        let whole = run(read_requests(&wire, &[]));
        prop_assert!(!matches!(whole.1, Ended::Cut), "{:?}", whole);
        prop_assert_eq!(run(read_requests(&wire, &cuts)), whole);
    }

    #[test]
    fn of_flawed_requests(wire in flawed(requests()), cuts in cuts()) {
        let whole = run(read_requests(&wire, &[]));
        let cut = run(read_requests(&wire, &cuts));
        prop_assert_eq!(&cut.0, &whole.0);
        // Which of several flaws is named may differ.
        let refused = |ended: &Ended| matches!(ended, Ended::Refused(_));
        prop_assert!(cut.1 == whole.1 || refused(&cut.1) && refused(&whole.1), "{:?} {:?}", cut, whole);
    }

    #[test]
    fn of_responses(wire in prop_oneof![response().boxed(), flawed(response()).boxed()],
                    head in any::<bool>(), cuts in cuts()) {
        let method = if head { Method::HEAD } else { Method::GET };
        let whole = run(read_response(&method, &wire, &[]));
        prop_assert_eq!(run(read_response(&method, &wire, &cuts)), whole);
    }
}
