//! The hosts file, the loopback names, and a name server of our own.

use super::*;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::Record;
use hickory_resolver::proto::rr::rdata::{A, AAAA, SRV};
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
    match resolver.addresses(host).await {
        Ok(answer) => answer.records.iter().map(IpAddr::to_string).collect(),
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
    let nobody = ["no name server is configured"];
    assert_eq!(found(&resolver, "notlocalhost").await, nobody);
    assert!(resolver.services("_http._tcp.app").await.is_err());
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
async fn a_name_server_is_used_as_soon_as_there_is_one() {
    let (dir, resolver) = resolver(None);
    assert!(resolver.dns().is_err());
    std::fs::write(dir.path().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    assert!(resolver.dns().is_ok());
}

/// A name server on the loopback that knows `app.` and `_http._tcp.app.`, and a resolver that asks it.
async fn with_server() -> (tokio::task::JoinHandle<()>, SystemResolver) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
    server.connections[0].port = socket.local_addr().unwrap().port();
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    let (_dir, mut resolver) = resolver(None);
    resolver.dns.last = Mutex::new(Last {
        stamp: None,
        looked: true,
        value: Some(Arc::new(client(config, ResolverOpts::default()).unwrap())),
    });
    (tokio::spawn(serve(socket)), resolver)
}

async fn serve(socket: UdpSocket) {
    let mut buffer = [0; 1024];
    let mut answered: u8 = 0;
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..len]).unwrap();
        let asked = query.queries[0].clone();
        let data = match (asked.name().to_ascii().as_str(), asked.query_type()) {
            ("app.", RecordType::A) => {
                answered += 1;
                Some(RData::A(A::new(10, 0, 0, answered)))
            }
            ("app.", RecordType::AAAA) => Some(RData::AAAA(AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1))),
            ("_http._tcp.app.", RecordType::SRV) => {
                let target = Name::from_ascii("app.").unwrap();
                Some(RData::SRV(SRV::new(10, 5, 8080, target)))
            }
            _ => None,
        };
        let mut answer = Message::response(query.id, query.op_code);
        answer.add_query(asked.clone());
        match data {
            Some(data) => {
                answer.add_answer(Record::from_rdata(asked.name().clone(), 30, data));
            }
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        socket
            .send_to(&answer.to_vec().unwrap(), from)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn name_servers_are_asked_each_time_for_both_versions_of_ip() {
    let (server, resolver) = with_server().await;
    assert_eq!(found(&resolver, "app").await, ["10.0.0.1", "fd00::1"]);
    assert_eq!(found(&resolver, "app.").await, ["10.0.0.2", "fd00::1"]);
    let ttl = resolver.addresses("app").await.unwrap().ttl;
    assert!((25..=30).contains(&ttl.as_secs()), "{ttl:?}");
    assert!(resolver.addresses("nobody").await.is_err());
    server.abort();
}

#[tokio::test]
async fn services_are_found_with_their_ports() {
    let (server, resolver) = with_server().await;
    let answer = resolver.services("_http._tcp.app").await.unwrap();
    let expected = Service {
        priority: 10,
        weight: 5,
        port: 8080,
        host: "app.".into(),
    };
    assert_eq!(answer.records, [expected]);
    server.abort();
}
