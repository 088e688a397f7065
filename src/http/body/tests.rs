use super::*;
use http::HeaderMap;
use http_body_util::{BodyExt, StreamBody};
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Vec<String>>>);

impl Guard for Ends {
    fn end(&mut self, end: End<'_>, passed: u64) {
        self.0.lock().unwrap().push(format!("{end:?} {passed}"));
    }
}

fn pieces(pieces: Vec<Result<&'static str, Error>>) -> Body {
    Body::stream(StreamBody::new(futures_util::stream::iter(
        pieces
            .into_iter()
            .map(|p| p.map(|p| Frame::data(Bytes::from(p)))),
    )))
}

#[tokio::test]
async fn guards_learn_of_the_end_not_of_the_first_piece() {
    let ends = Ends::default();
    let mut body = pieces(vec![Ok("a"), Ok("b")]).with_guard(ends.clone());
    body.frame().await.unwrap().unwrap();
    assert!(ends.0.lock().unwrap().is_empty());
    while body.frame().await.is_some() {}
    drop(body);
    assert_eq!(*ends.0.lock().unwrap(), ["Complete 2"]);
}

#[tokio::test]
async fn every_guard_learns_the_status_in_the_trailers() {
    type Statuses = Arc<Mutex<Vec<Option<Vec<u8>>>>>;
    struct Sees(Statuses);
    impl Guard for Sees {
        fn end(&mut self, _: End<'_>, _: u64) {}

        fn trailers(&mut self, grpc_status: Option<&[u8]>) {
            let status = grpc_status.map(<[u8]>::to_vec);
            self.0.lock().unwrap().push(status);
        }
    }
    let seen = Statuses::default();
    for name in [http::header::ETAG, grpc::STATUS] {
        let trailers = HeaderMap::from_iter([(name, "7".parse().unwrap())]);
        let frame = Ok(Frame::trailers(trailers));
        let body = Body::stream(StreamBody::new(futures_util::stream::iter([frame])));
        let body = body.with_guard(Sees(seen.clone()));
        let body = body.with_guard(Sees(seen.clone()));
        body.collect().await.unwrap();
    }
    let seven = Some(b"7".to_vec());
    assert_eq!(*seen.lock().unwrap(), [None, None, seven.clone(), seven]);
}

#[tokio::test]
async fn a_guard_hears_of_the_first_piece_while_more_may_follow() {
    struct Begins(Arc<Mutex<u32>>);
    impl Guard for Begins {
        fn end(&mut self, _: End<'_>, _: u64) {}

        fn begun(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let begun = Arc::default();
    let body = pieces(vec![Ok("a"), Ok("b")]).with_guard(Begins(Arc::clone(&begun)));
    let mut body = body.with_guard(Ends::default());
    assert_eq!(*begun.lock().unwrap(), 0);
    body.frame().await.unwrap().unwrap();
    assert_eq!(*begun.lock().unwrap(), 1);
    body.collect().await.unwrap();
    assert_eq!(*begun.lock().unwrap(), 1);
}

#[tokio::test]
async fn every_guard_is_told_once() {
    let ends = Ends::default();
    drop(
        pieces(vec![Ok("a")])
            .with_guard(ends.clone())
            .with_guard(ends.clone()),
    );
    assert_eq!(*ends.0.lock().unwrap(), ["Dropped 0", "Dropped 0"]);
}

#[tokio::test]
async fn a_failure_is_told_as_one() {
    let ends = Ends::default();
    let failure = Error::new(crate::http::error::UPSTREAM_RESET, "cut");
    let mut body = pieces(vec![Err(failure)]).with_guard(ends.clone());
    assert!(body.frame().await.unwrap().is_err());
    drop(body);
    assert_eq!(ends.0.lock().unwrap().len(), 1);
    assert!(ends.0.lock().unwrap()[0].starts_with("Failed"));
}

#[test]
fn a_body_that_is_withheld_was_not_given_up() {
    let ends = Ends::default();
    let mut body = Body::full("abc").with_guard(ends.clone());
    body.withhold();
    assert!(body.is_empty());
    drop(body);
    assert_eq!(*ends.0.lock().unwrap(), ["Complete 0"]);
}

#[test]
fn one_piece_is_taken_whole() {
    let ends = Ends::default();
    let mut body = Body::full("abc").with_guard(ends.clone());
    assert_eq!(body.take_full().unwrap(), "abc");
    assert_eq!(*ends.0.lock().unwrap(), ["Complete 3"]);
    assert_eq!(Body::empty().take_full().unwrap(), "");
    assert!(pieces(vec![]).take_full().is_none());
}
