//! Interim answers, and bodies that wait for one of them.

use std::time::Duration;

use super::*;
use crate::testing::Caller;

#[tokio::test]
async fn interim_answers_are_passed_on() {
    let (connection, mut far) = connected(&plain()).await;
    let seen = Arc::new(Caller::default());
    let mut request = asking("GET", Body::empty());
    request.context.interim = Some(seen.clone());
    let asked = ask(&connection, request);
    far.news().await;
    far.send_headers(1, false, &[(":status", "103"), ("link", "</a>")])
        .await;
    far.send_headers(1, false, &[(":status", "103"), ("link", "</b>")])
        .await;
    settled(&mut far).await;
    far.send_headers(1, true, &[(":status", "200")]).await;
    assert!(asked.await.unwrap().0.is_ok());
    let link = |link: &str| Some(link.to_owned());
    assert_eq!(seen.heard(), [(103, link("</a>")), (103, link("</b>"))]);
}

/// A request whose body comes when its caller is asked for it; this one sends it at once when it is read.
fn expecting(caller: &Arc<Caller>) -> Box<Request> {
    let (pieces, body) = fed();
    pieces.send(Ok("hello".into())).unwrap();
    let mut request = asking("POST", body);
    let continued = "100-continue".parse().unwrap();
    request.headers.insert(&http::header::EXPECT, &continued);
    request.context.interim = Some(caller.clone());
    request
}

#[tokio::test(start_paused = true)]
async fn a_body_waits_for_100_continue_and_not_for_ever() {
    let (connection, mut far) = connected(&plain()).await;
    let expecting = || expecting(&Arc::default());
    let _first = ask(&connection, expecting());
    far.news().await;
    far.send_headers(1, false, &[(":status", "100")]).await;
    let start = Instant::now();
    assert_eq!(far.news().await, Event::Data(1, b"hello".to_vec(), false));
    assert_eq!(far.news().await, Event::Data(1, vec![], true));
    assert_eq!(start.elapsed(), Duration::ZERO);
    let _second = ask(&connection, expecting());
    far.news().await;
    assert_eq!(far.news().await, Event::Data(3, b"hello".to_vec(), false));
    assert_eq!(far.news().await, Event::Data(3, vec![], true));
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    // A refusal in place of it: the body is not wanted.
    let third = ask(&connection, expecting());
    far.news().await;
    far.send_headers(5, true, &[(":status", "417")]).await;
    assert_eq!(third.await.unwrap().0.unwrap().status, 417);
    assert_eq!(far.news().await, Event::Reset(5, Code::CANCEL));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_unasked_does_not_wait_for_100_continue() {
    let (connection, mut far) = connected(&plain()).await;
    let caller = Arc::new(Caller::default());
    let start = Instant::now();
    let _first = ask(&connection, expecting(&caller));
    far.news().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    caller.begin_body();
    assert_eq!(far.news().await, Event::Data(1, b"hello".to_vec(), false));
    assert_eq!(far.news().await, Event::Data(1, vec![], true));
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    // It is here already; or all of it is; or nobody could be asked, as HTTP/1.0 knows no expectations.
    let mut whole = expecting(&Arc::default());
    whole.body = Body::full("hello");
    let mut nobody = expecting(&caller);
    nobody.context.interim = None;
    for (stream, request) in [(3, expecting(&caller)), (5, whole), (7, nobody)] {
        let _asked = ask(&connection, request);
        far.news().await;
        let Event::Data(id, content, _) = far.news().await else {
            panic!("no body on stream {stream}");
        };
        assert_eq!((id, &content[..]), (stream, &b"hello"[..]));
        if stream != 5 {
            assert_eq!(far.news().await, Event::Data(stream, vec![], true));
        }
    }
    assert_eq!(start.elapsed(), Duration::from_millis(300));
}
