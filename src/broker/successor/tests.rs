use tokio::time::timeout;

use super::*;
use crate::broker::fake::{Fake, message};

fn pair(new: Fake) -> (Arc<Fake>, Arc<Fake>, Arc<dyn Client>) {
    let (old, new) = (Arc::new(Fake::default()), Arc::new(new));
    let as_client: Arc<dyn Client> = old.clone();
    let client = succeed(&as_client, new.clone());
    (old, new, client)
}

fn later() -> Fake {
    Fake::connecting_until(Instant::now() + Duration::from_secs(5))
}

fn to() -> Destination {
    Destination::Subject("a".to_owned())
}

fn from() -> Source {
    let queue = "q".to_owned();
    Source::Queue { queue }
}

#[tokio::test(start_paused = true)]
async fn the_old_one_publishes_until_the_new_one_has_connected() {
    let (old, new, client) = pair(later());
    assert!(client.state().is_connected());
    client.publish(to(), message("1")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    client.publish(to(), message("2")).await.unwrap();
    let ids = |fake: &Fake| -> Vec<String> {
        let published = fake.published.lock().unwrap();
        published.iter().map(|(_, sent)| sent.id.clone()).collect()
    };
    assert_eq!((ids(&old), ids(&new)), (vec!["1".into()], vec!["2".into()]));
    // Nothing holds the old one any more.
    assert_eq!(Arc::strong_count(&old), 1);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_moves_on_and_what_it_took_can_still_be_settled() {
    let (old, new, client) = pair(later());
    old.put("1", 1, None);
    new.put("2", 1, None);
    let mut consumer = client.consume(&from(), 4);
    let first = consumer.next().await;
    assert_eq!(first.message.id, "1");
    assert!(
        timeout(Duration::from_secs(3), consumer.next())
            .await
            .is_err()
    );
    let second = consumer.next().await;
    assert_eq!(second.message.id, "2");
    assert_eq!(*old.consumers.lock().unwrap(), (1, 1));
    drop(consumer);
    assert_eq!(Arc::strong_count(&old), 2, "its delivery holds it");
    first.settle.settle(Verdict::Done).await.unwrap();
    assert_eq!(old.settled(), [("1".to_owned(), Verdict::Done)]);
    assert_eq!(Arc::strong_count(&old), 1);
}

#[tokio::test(start_paused = true)]
async fn the_old_one_takes_nothing_any_more_where_the_new_one_connects_soon() {
    let (old, new, client) = pair(Fake::connecting_until(
        Instant::now() + Duration::from_millis(500),
    ));
    old.put("1", 1, None);
    new.put("2", 1, None);
    let mut consumer = client.consume(&from(), 4);
    assert_eq!(consumer.next().await.message.id, "2");
    assert_eq!(*old.consumers.lock().unwrap(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_new_one_takes_nothing_before_the_old_one_has_handed_back() {
    let old = Arc::new(Fake::closing_for(Duration::from_secs(3)));
    let new = Arc::new(later());
    new.put("2", 1, None);
    let as_client: Arc<dyn Client> = old.clone();
    let client = succeed(&as_client, new.clone());
    let mut consumer = client.consume(&from(), 4);
    // Whoever gives up waiting does not cut the handing back short.
    for _ in 0..7 {
        let next = timeout(Duration::from_secs(1), consumer.next()).await;
        assert!(next.is_err());
        assert_eq!(new.consumers.lock().unwrap().0, 0);
    }
    assert_eq!(consumer.next().await.message.id, "2");
    assert_eq!(*old.consumers.lock().unwrap(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_next_one_takes_over_from_whoever_does_the_work() {
    let (old, _, client) = pair(later());
    let next: Arc<dyn Client> = Arc::new(later());
    let last = succeed(&client, next);
    drop(client);
    last.publish(to(), message("1")).await.unwrap();
    assert_eq!(old.published.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_connected_is_not_kept() {
    let old: Arc<dyn Client> = Arc::new(later());
    let new: Arc<dyn Client> = Arc::new(Fake::default());
    assert!(Arc::ptr_eq(&succeed(&old, new.clone()), &new));
}
