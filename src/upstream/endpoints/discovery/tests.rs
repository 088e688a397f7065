//! Names that resolve, change, fail and come back, by a paused clock.

use super::*;
use crate::upstream::Follower;
use crate::upstream::fake::Names;
use crate::upstream::fake::Question::{V4, V6};

struct World {
    names: Arc<Names>,
    resolver: Arc<dyn Resolve>,
}

impl World {
    fn new() -> Self {
        let names = Arc::new(Names::default());
        World {
            resolver: names.clone(),
            names,
        }
    }

    fn follow(&self, endpoints: &[&str], old: Option<&Follower>) -> Follower {
        let entry = |address: &&str| EndpointConfig {
            address: (*address).to_owned(),
            weight: 1,
        };
        let endpoints: Vec<EndpointConfig> = endpoints.iter().map(entry).collect();
        let name = "app".parse().unwrap();
        Follower::start(&name, &endpoints, Discovery::Dns, old, &self.resolver)
    }
}

fn addresses(follower: &Follower) -> Vec<String> {
    let list = follower.set().load();
    let entries = list.entries().iter();
    entries.map(|e| e.endpoint.address.to_string()).collect()
}

/// Lets tasks run for a while of paused time.
async fn pass(secs: u64) {
    tokio::time::sleep(Duration::from_secs(secs)).await;
}

#[tokio::test(start_paused = true)]
async fn addresses_serve_at_once_and_names_when_they_resolve() {
    let world = World::new();
    world.names.set("app", &["10.0.0.1", "10.0.0.2"]);
    let fixed = world.follow(&["10.0.0.9:80", "unix:/run/app.sock"], None);
    assert_eq!(addresses(&fixed), ["10.0.0.9:80", "unix:/run/app.sock"]);
    assert_eq!(world.names.asked(), 0);

    let named = world.follow(&["app:80"], None);
    assert!(addresses(&named).is_empty());
    named.set().ready().await;
    assert_eq!(addresses(&named), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(&*named.set().load().entries()[0].endpoint.name, "app:80");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_asked_for_again_after_its_ttl() {
    let world = World::new();
    world.names.set("app", &["10.0.0.1"]);
    let follower = world.follow(&["app:80"], None);
    follower.set().ready().await;
    world.names.set("app", &["10.0.0.1", "10.0.0.2"]);
    pass(Names::TTL.as_secs() - 1).await;
    assert_eq!(addresses(&follower), ["10.0.0.1:80"]);
    let first = follower.set().load().entries()[0].endpoint.clone();
    pass(2).await;
    assert_eq!(addresses(&follower), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert!(Arc::ptr_eq(
        &first,
        &follower.set().load().entries()[0].endpoint
    ));
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_outlives_failures() {
    let world = World::new();
    world.names.set("app", &["10.0.0.1"]);
    let follower = world.follow(&["app:80"], None);
    follower.set().ready().await;
    world.names.fail("app");
    pass(3600).await;
    assert_eq!(addresses(&follower), ["10.0.0.1:80"]);
    // Every 8 to 16 seconds, and no more.
    assert!((200..500).contains(&world.names.asked()));
    world.names.set("app", &["10.0.0.2"]);
    pass(BACKOFF.longest.as_secs() + 1).await;
    assert_eq!(addresses(&follower), ["10.0.0.2:80"]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_in_part_is_asked_for_again_soon() {
    let world = World::new();
    world.names.set("app", &["10.0.0.1", "fd00::1"]);
    world.names.silence("app", &[V6]);
    let follower = world.follow(&["app:80"], None);
    follower.set().ready().await;
    assert_eq!(addresses(&follower), ["10.0.0.1:80"]);
    world.names.speak();
    pass(2).await;
    assert_eq!(addresses(&follower), ["10.0.0.1:80", "[fd00::1]:80"]);
    // A part that fails later stays, also through a reload.
    world.names.silence("app", &[V4]);
    pass(60).await;
    assert_eq!(addresses(&follower), ["10.0.0.1:80", "[fd00::1]:80"]);
    let next = world.follow(&["app:80", "10.0.0.9:80"], Some(&follower));
    drop(follower);
    pass(60).await;
    let all = ["10.0.0.1:80", "[fd00::1]:80", "10.0.0.9:80"];
    assert_eq!(addresses(&next), all);
}

#[tokio::test(start_paused = true)]
async fn a_first_failure_ends_the_wait_and_is_mended_soon() {
    let world = World::new();
    let follower = world.follow(&["app:80"], None);
    follower.set().ready().await;
    assert!(addresses(&follower).is_empty());
    world.names.set("app", &["10.0.0.1"]);
    pass(2).await;
    assert_eq!(addresses(&follower), ["10.0.0.1:80"]);
}

#[tokio::test(start_paused = true)]
async fn one_name_that_resolves_does_not_wait_for_another() {
    let world = World::new();
    world.names.set("good", &["10.0.0.1"]);
    let follower = world.follow(&["bad:80", "good:80", "10.0.0.9:80"], None);
    assert_eq!(addresses(&follower), ["10.0.0.9:80"]);
    pass(1).await;
    assert_eq!(addresses(&follower), ["10.0.0.1:80", "10.0.0.9:80"]);
}

#[tokio::test(start_paused = true)]
async fn old_endpoints_serve_until_the_new_names_are_known() {
    let world = World::new();
    world.names.set("old", &["10.0.0.1", "10.0.0.2"]);
    let old = world.follow(&["old:80"], None);
    old.set().ready().await;
    let kept = old.set().load().entries()[0].endpoint.clone();

    let new = world.follow(&["new:80"], Some(&old));
    assert_eq!(addresses(&new), ["10.0.0.1:80", "10.0.0.2:80"]);
    pass(60).await;
    assert_eq!(addresses(&new), ["10.0.0.1:80", "10.0.0.2:80"]);
    world.names.set("new", &["10.0.0.3"]);
    pass(60).await;
    assert_eq!(addresses(&new), ["10.0.0.3:80"]);
    assert!(!kept.is_retired(), "the old config still has it");
    drop(old);
    tokio::task::yield_now().await;
    assert!(kept.is_retired());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_stays_keeps_its_answer_and_its_endpoints() {
    let world = World::new();
    world.names.set("app", &["10.0.0.1"]);
    let old = world.follow(&["app:80"], None);
    old.set().ready().await;
    let endpoint = old.set().load().entries()[0].endpoint.clone();
    world.names.fail("app");
    let new = world.follow(&["app:80", "10.0.0.9:80"], Some(&old));
    assert_eq!(addresses(&new), ["10.0.0.1:80", "10.0.0.9:80"]);
    drop(old);
    pass(60).await;
    assert_eq!(addresses(&new), ["10.0.0.1:80", "10.0.0.9:80"]);
    assert!(Arc::ptr_eq(
        &endpoint,
        &new.set().load().entries()[0].endpoint
    ));
    assert!(!endpoint.is_retired());
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_when_the_follower_is_gone() {
    let world = World::new();
    let follower = world.follow(&["app:80"], None);
    follower.set().ready().await;
    drop(follower);
    let asked = world.names.asked();
    pass(3600).await;
    assert_eq!(world.names.asked(), asked);
}
