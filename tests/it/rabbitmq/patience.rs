//! How long RabbitMQ waits for an acknowledgement: `consumer_timeout`.

use outrigger::broker::Verdict;

use super::{Node, from, message, name, next, next_settled, outages, publish, queue_block, to};

/// RabbitMQ (3.10.8) looks once a minute, and then closes the channel with all consumers on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_takes_too_long_comes_again_and_the_others_go_on() {
    let _alone = outages::ALONE.lock().await;
    let node = Node::fragile();
    let look = |timeout: u32, interval: u32| {
        let set = |key, to| format!("ok = application:set_env(rabbit, {key}, {to})");
        let both = [
            set("consumer_timeout", timeout),
            set("channel_tick_interval", interval),
        ];
        node.ctl(&["eval", &format!("{}.", both.join(", "))]);
    };
    look(1_000, 200);
    let (slow, quick) = (name("slow"), name("quick"));
    let blocks = queue_block(&slow, "") + &queue_block(&quick, "");
    let client = node.client(&blocks).await;
    publish(&client, to(&slow), message("1")).await.unwrap();
    let mut slow_consumer = client.consume(&from(&slow), 1);
    let mut quick_consumer = client.consume(&from(&quick), 1);
    let first = next(&mut slow_consumer).await;
    let mut count = 0;
    let again = loop {
        tokio::select! {
            biased;
            again = slow_consumer.next() => break again,
            // All the time until then.
            () = async {
                count += 1;
                let id = count.to_string();
                publish(&client, to(&quick), message(&id)).await.unwrap();
                let taken = next_settled(&mut quick_consumer, Verdict::Done).await;
                assert_eq!(taken, (id, 1));
            } => {}
        }
    };
    assert_eq!(again.message.id, "1");
    assert_eq!((again.attempt, again.redelivered), (1, true));
    // Who answers too late is told: the message is another delivery's by now.
    first.settle.settle(Verdict::Done).await.unwrap_err();
    again.settle.settle(Verdict::Done).await.unwrap();
    look(1_800_000, 60_000);
    client.close().await;
}
