use super::*;

const TOPIC: &str = r#"
[topics.orders]
partitions = 2
retry = { delays = ["1s", "3s"] }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_comes_again_after_the_time_of_its_step() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 2, 2);
    let client = connected(&cluster, TOPIC).await;
    let from = source("orders", "all");
    assert_eq!(client.ladder(&from).delays.len(), 2);
    let mut consumer = client.consume(&from, 10);
    soon(publish(&client, "orders", Some("k"), "slow"))
        .await
        .unwrap();
    for (step, delay) in [(0, 1.0), (1, 3.0)] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.attempt, step + 1);
        let failed = Instant::now();
        settle(
            delivery,
            Verdict::Retry {
                step: step as usize,
            },
        )
        .await;
        // Others do not wait for it.
        let id = format!("quick-{step}");
        soon(publish(&client, "orders", Some("k"), &id))
            .await
            .unwrap();
        let quick = next(&mut consumer).await;
        assert_eq!(quick.message.id, id);
        settle(quick, Verdict::Done).await;
        let peeked = soon(consumer.next()).await;
        let waited = failed.elapsed().as_secs_f64();
        assert!(
            (0.9 * delay..1.1 * delay + 0.1).contains(&waited),
            "{waited} s instead of {delay}"
        );
        assert_eq!((&*peeked.message.id, peeked.attempt), ("slow", step + 2));
        assert_eq!(peeked.message, message("slow"));
        assert_eq!(peeked.key.as_deref(), Some("k"));
        drop(peeked);
    }
    let last = next(&mut consumer).await;
    assert_eq!((last.attempt, last.redelivered), (3, true));
    settle(last, Verdict::Done).await;
    assert!(nothing_comes(&mut consumer).await);
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_for_the_group_in_which_it_failed() {
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 2, 2);
    let client = connected(&cluster, TOPIC).await;
    let mut one = client.consume(&source("orders", "one"), 10);
    let mut other = client.consume(&source("orders", "other"), 10);
    soon(publish(&client, "orders", None, "a")).await.unwrap();
    let failed = next(&mut one).await;
    settle(failed, Verdict::Retry { step: 0 }).await;
    let fine = next(&mut other).await;
    settle(fine, Verdict::Done).await;
    let again = next(&mut one).await;
    assert_eq!(again.attempt, 2);
    settle(again, Verdict::Done).await;
    assert!(nothing_comes(&mut other).await);
    soon(client.close()).await;
}
