use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_broker_holds_up_the_messages_of_no_other() {
    const COUNT: usize = 20;
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 2, 0);
    cluster.run("partition_set_leader orders 0 1");
    cluster.run("partition_set_leader orders 1 2");
    cluster.run("coordinator_set group all 1");
    let client = connected(&cluster, "").await;
    publish_all(&client, "orders", 5).await;
    let mut consumer = client.consume(&source("orders", "all"), 2);
    for _ in 0..5 {
        settle(next(&mut consumer).await, Verdict::Done).await;
    }
    // Whatever it says, it says so many milliseconds later.
    cluster.run("broker_set_rtt 2 2000");
    let publishing = tokio::spawn({
        let client = client.clone();
        async move { publish_many(&client, "orders", 0..COUNT).await }
    });
    let mut keys = Vec::new();
    while keys.len() < COUNT {
        let delivery = next(&mut consumer).await;
        keys.push(delivery.key.clone());
        settle(delivery, Verdict::Done).await;
    }
    // Those of one partition come before any of the other.
    let cut = (1..COUNT).find(|cut| keys[..*cut].iter().all(|key| !keys[*cut..].contains(key)));
    assert!(cut.is_some(), "{keys:?}");
    cluster.run("broker_set_rtt 2 0");
    assert_eq!(soon(publishing).await.unwrap().len(), COUNT);
    soon(client.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_comes_once_and_in_order_when_others_lead_its_partition() {
    const EACH: usize = 100;
    let mut cluster = KafkaCluster::start();
    cluster.create("orders", 3, 0);
    let client = connected(&cluster, "").await;
    let mut consumer = client.consume(&source("orders", "all"), 16);
    let mut last: HashMap<String, usize> = HashMap::new();
    let mut seen = 0;
    for round in 0..6 {
        for number in round * EACH..(round + 1) * EACH {
            let (key, id) = (format!("k{}", number % 7), format!("{number}"));
            soon(publish(&client, "orders", Some(&key), &id))
                .await
                .unwrap();
        }
        // While it is read.
        for partition in 0..3 {
            let leader = (round + partition) % 3 + 1;
            cluster.run(&format!("partition_set_leader orders {partition} {leader}"));
        }
        while seen < (round + 1) * EACH {
            let delivery = next(&mut consumer).await;
            let number: usize = delivery.message.id.parse().unwrap();
            let key = delivery.key.clone().unwrap();
            let before = last.insert(key, number);
            assert!(
                before.is_none_or(|before| before < number),
                "{number} after {before:?}"
            );
            assert!(!delivery.redelivered);
            settle(delivery, Verdict::Done).await;
            seen += 1;
        }
    }
    assert!(nothing_comes(&mut consumer).await);
    soon(client.close()).await;
}
