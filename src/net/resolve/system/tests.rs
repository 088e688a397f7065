//! The hosts file, the loopback names, and a name server of our own.

use std::sync::Mutex;

use super::*;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
use hickory_resolver::proto::rr::{Name, Record};
use tokio::net::UdpSocket;

fn resolver(hosts: Option<&str>) -> (tempfile::TempDir, SystemResolver) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hosts");
    if let Some(text) = hosts {
        std::fs::write(&path, text).unwrap();
    }
    let resolver = SystemResolver::of(&path, &dir.path().join("resolv.conf"));
    (dir, resolver)
}

async fn found(resolver: &SystemResolver, host: &str) -> Vec<String> {
    match resolver.addresses(host, Known::default()).await {
        Ok(found) => found.what.all().iter().map(IpAddr::to_string).collect(),
        Err(failure) => vec![failure.to_string()],
    }
}

#[tokio::test]
async fn localhost_needs_no_name_server() {
    let (_dir, resolver) = resolver(None);
    let both = ["127.0.0.1", "::1"];
    for host in ["localhost", "LocalHost.", "pay.localhost"] {
        assert_eq!(found(&resolver, host).await, both, "{host}");
    }
}

#[tokio::test]
async fn the_hosts_file_comes_first_and_is_read_again() {
    let (dir, resolver) = resolver(Some("127.0.0.1 localhost # me\n10.0.0.1 App other\n"));
    assert_eq!(found(&resolver, "localhost").await, ["127.0.0.1"]);
    assert_eq!(found(&resolver, "app").await, ["10.0.0.1"]);
    std::fs::write(
        dir.path().join("hosts"),
        "10.0.0.1 app\n10.0.0.2 app\nfd00::1 app\n",
    )
    .unwrap();
    let all = ["10.0.0.1", "10.0.0.2", "fd00::1"];
    assert_eq!(found(&resolver, "app.").await, all);
    std::fs::remove_file(dir.path().join("hosts")).unwrap();
    assert_eq!(found(&resolver, "app").await, all);
}

#[tokio::test]
async fn without_a_name_server_that_of_this_machine_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resolv.conf");
    let servers = || resolv_conf(&path).unwrap().servers;
    assert_eq!(servers(), [Ipv4Addr::LOCALHOST]);
    std::fs::write(&path, "search a\n").unwrap();
    assert_eq!(servers(), [Ipv4Addr::LOCALHOST]);
    std::fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
    assert_eq!(servers(), [Ipv4Addr::new(10, 0, 0, 1)]);
}

#[tokio::test]
async fn an_odd_line_does_not_cost_the_other_names() {
    let (dir, resolver) = resolver(None);
    let hosts = b"10.0.0.1 app\n10.0.0.2 b\xe9ta # caf\xe9\n10.0.0.3 other\n";
    std::fs::write(dir.path().join("hosts"), hosts).unwrap();
    assert_eq!(found(&resolver, "app").await, ["10.0.0.1"]);
    assert_eq!(found(&resolver, "other").await, ["10.0.0.3"]);
    let conf = b"\xff\nsearch a..b\noptions timeout:0\nnameserver 127.0.0.1\n";
    std::fs::write(dir.path().join("resolv.conf"), conf).unwrap();
    assert!(resolver.dns().is_ok());
}

/// What a name server says to a question.
#[derive(Clone)]
enum Reply {
    Data(Vec<RData>),
    /// No records and this code.
    Code(ResponseCode),
    Silence,
}

use Reply::{Code, Silence};

type Answering = Box<dyn Fn(&str, RecordType) -> Reply + Send>;

/// A resolver that asks a name server on the loopback, by a resolv.conf with these lines.
struct World {
    servers: Vec<tokio::task::JoinHandle<()>>,
    resolver: SystemResolver,
    asked: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// `reply` is asked with a name and a type of record.
    async fn new(conf: &str, reply: impl Fn(&str, RecordType) -> Reply + Send + 'static) -> Self {
        Self::with(conf, vec![Box::new(reply)]).await
    }

    /// With a name server for each of `replies`.
    async fn with(conf: &str, replies: Vec<Answering>) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (mut configs, mut servers) = (Vec::new(), Vec::new());
        for reply in replies {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
            server.connections[0].port = socket.local_addr().unwrap().port();
            configs.push(server);
            servers.push(tokio::spawn(serve(socket, asked.clone(), reply)));
        }
        let conf = resolv_conf::parse(conf.as_bytes(), "", &mut OddLines::default());
        let (_dir, mut resolver) = resolver(None);
        resolver.dns = Reread::saying(NameServers::new(conf, configs).unwrap());
        World {
            servers,
            resolver,
            asked,
        }
    }

    async fn found(&self, host: &str) -> Vec<String> {
        found(&self.resolver, host).await
    }

    /// The names that were asked for since the last time.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.dedup();
        asked
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.servers.iter().for_each(|server| server.abort());
    }
}

async fn serve(socket: UdpSocket, names: Arc<Mutex<Vec<String>>>, reply: Answering) {
    let mut buffer = [0; 1024];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..len]).unwrap();
        let asked = query.queries[0].clone();
        let name = asked.name().to_ascii();
        names.lock().unwrap().push(name.clone());
        let mut answer = Message::response(query.id, query.op_code);
        answer.add_query(asked.clone());
        match reply(&name, asked.query_type()) {
            Reply::Data(data) => {
                for data in data {
                    answer.add_answer(Record::from_rdata(asked.name().clone(), 30, data));
                }
            }
            Code(code) => answer.metadata.response_code = code,
            Silence => continue,
        }
        let answer = answer.to_vec().unwrap();
        socket.send_to(&answer, from).await.unwrap();
    }
}

fn v4(last: u8) -> Reply {
    Reply::Data(vec![RData::A(A::new(10, 0, 0, last))])
}

fn v6() -> Reply {
    let address = AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
    Reply::Data(vec![RData::AAAA(address)])
}

const NO_NAME: Reply = Code(ResponseCode::NXDomain);
const NO_RECORDS: Reply = Code(ResponseCode::NoError);

#[tokio::test]
async fn name_servers_are_asked_each_time_for_both_versions_of_ip() {
    let answered = std::sync::atomic::AtomicU8::new(0);
    let world = World::new("", move |name, kind| match (name, kind) {
        ("app.", RecordType::A) => {
            v4(1 + answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst))
        }
        ("app.", RecordType::AAAA) => v6(),
        _ => NO_NAME,
    })
    .await;
    assert_eq!(world.found("app").await, ["10.0.0.1", "fd00::1"]);
    assert_eq!(world.found("app.").await, ["10.0.0.2", "fd00::1"]);
    let found = world.resolver.addresses("app", Known::default()).await;
    let ttl = found.unwrap().what.v4.unwrap().ttl;
    assert!((25..=30).contains(&ttl.as_secs()), "{ttl:?}");
    assert_eq!(world.found("nobody").await, ["there is no such name"]);
}

#[tokio::test]
async fn services_are_found_with_their_ports() {
    let world = World::new("search x", |name, kind| match (name, kind) {
        ("_http._tcp.app.", RecordType::SRV) => {
            let target = Name::from_ascii("app.").unwrap();
            let root = SRV::new(1, 1, 1, Name::root());
            Reply::Data(vec![
                RData::SRV(root),
                RData::SRV(SRV::new(10, 5, 8080, target)),
            ])
        }
        _ => NO_NAME,
    })
    .await;
    let services = world.resolver.services("_http._tcp.app", Known::default());
    let expected = Service {
        priority: 10,
        weight: 5,
        port: 8080,
        host: "app.".into(),
    };
    let found = services.await.unwrap();
    assert_eq!(found.what.records, [expected]);
    assert_eq!(found.name.as_deref(), Some("_http._tcp.app."));
}

#[tokio::test]
async fn half_an_answer_does_not_wait_for_the_half_that_never_comes() {
    for silent in [RecordType::A, RecordType::AAAA] {
        // The limits are so long that waiting for either would fail the test's.
        let world = World::new("options timeout:30 attempts:5", move |_, kind| match kind {
            kind if kind == silent => Silence,
            RecordType::A => v4(1),
            _ => v6(),
        })
        .await;
        let rest = match silent {
            RecordType::A => "fd00::1",
            _ => "10.0.0.1",
        };
        assert_eq!(world.found("app").await, [rest]);
        let found = world.resolver.addresses("app", Known::default()).await;
        let what = found.unwrap().what;
        let missing = if silent == RecordType::A {
            what.v4
        } else {
            what.v6
        };
        assert!(matches!(missing, Err(Failure::Silence(_))), "{missing:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_for_one_version_does_not_end_the_search() {
    for silent in [RecordType::A, RecordType::AAAA] {
        let world = World::new("search x y\noptions timeout:30", move |name, kind| {
            match (name, kind) {
                (_, kind) if kind == silent => Silence,
                ("app.y.", RecordType::A) => v4(1),
                ("app.y.", RecordType::AAAA) => v6(),
                _ => NO_NAME,
            }
        })
        .await;
        assert_eq!(world.found("app").await.len(), 1);
        assert_eq!(world.asked(), ["app.x.", "app.y."]);
    }
}

#[tokio::test]
async fn trouble_does_not_lead_on_to_a_stranger() {
    let all = [
        Code(ResponseCode::ServFail),
        Code(ResponseCode::Refused),
        Code(ResponseCode::NotImp),
        NO_RECORDS,
        Silence,
    ];
    for trouble in all {
        let conf = "search ns corp.example\noptions ndots:5 timeout:1 attempts:1";
        let world = World::new(conf, move |name, kind| match (name, kind) {
            ("app.ns.", _) => trouble.clone(),
            (name, RecordType::A) if name.ends_with(".corp.example.") => v4(66),
            _ => NO_RECORDS,
        })
        .await;
        let found = world.resolver.addresses("app", Known::default()).await;
        assert_ne!(found.unwrap_err(), Failure::NoName);
        assert_eq!(world.asked(), ["app.ns."]);
    }
}

#[tokio::test]
async fn one_version_in_trouble_is_no_lack_of_a_name() {
    let world = World::new("search ns corp.example", |name, kind| match (name, kind) {
        ("app.ns.", RecordType::A) => Code(ResponseCode::ServFail),
        // As some servers say it of a type that they do not know.
        ("app.ns.", _) => NO_NAME,
        _ => v4(66),
    })
    .await;
    let found = world.resolver.addresses("app", Known::default()).await;
    assert!(matches!(found, Err(Failure::Refused(_))), "{found:?}");
}

#[tokio::test]
async fn silence_below_one_domain_leaves_a_whole_name_to_be_found() {
    let conf = "search ns.svc svc\noptions ndots:5 timeout:1 attempts:1";
    let world = World::new(conf, |name, kind| match (name, kind) {
        ("app.example.com.", RecordType::A) => v4(1),
        ("app.example.com.", _) => NO_RECORDS,
        (name, _) if name.ends_with(".ns.svc.") => Silence,
        _ => NO_NAME,
    })
    .await;
    assert_eq!(world.found("app.example.com").await, ["10.0.0.1"]);
    let asked = ["app.example.com.ns.svc.", "app.example.com."];
    assert_eq!(world.asked(), asked);
}

#[tokio::test]
async fn a_server_that_refuses_does_not_speak_for_the_others() {
    for refusal in [ResponseCode::ServFail, ResponseCode::Refused] {
        // The second is slower than the first, and never the first to answer.
        let asked = Mutex::new(std::collections::HashSet::new());
        let good = move |name: &str, kind: RecordType| {
            let before = !asked.lock().unwrap().insert((name.to_owned(), kind));
            match (name, kind) {
                _ if !before => Silence,
                ("app.x.", RecordType::A) => v4(1),
                ("app.x.", RecordType::AAAA) => v6(),
                _ => NO_NAME,
            }
        };
        let bad = move |_: &str, _: RecordType| Code(refusal);
        let conf = "search w x\noptions timeout:2 attempts:1";
        let world = World::with(conf, vec![Box::new(bad), Box::new(good)]).await;
        assert_eq!(world.found("app").await, ["10.0.0.1", "fd00::1"]);
    }
}
