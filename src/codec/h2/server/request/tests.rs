use super::*;
use crate::codec::h2::hpack::decode::Decoder;
use crate::codec::h2::hpack::encode::Encoder;

const START: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "http"), (":path", "/")];

fn block(fields: &[(&str, &str)]) -> Block {
    let mut wire = Vec::new();
    let mut encoder = Encoder::default();
    for (name, value) in fields {
        encoder.field(&mut wire, name.as_bytes(), value.as_bytes());
    }
    let mut block = Block::default();
    block.clear(60 << 10);
    Decoder::default().decode(&wire, &mut block).unwrap();
    block
}

fn read_all(fields: &[(&str, &str)]) -> Result<Read, Fault> {
    read(&mut block(fields), 3)
}

fn with(fields: &[(&str, &str)]) -> Result<RequestHead, Error> {
    read_all(&[&START, fields].concat()).unwrap().head
}

#[test]
fn an_authority_is_a_host_and_perhaps_a_port() {
    for sound in ["a", "a:80", "[::1]:80", "a:"] {
        for name in [":authority", "host"] {
            let head = with(&[(name, sound)]).expect(sound);
            assert_eq!(head.authority.unwrap().as_str(), sound);
        }
    }
    for host in [
        "a:80a", "u@a", "a:99999", "[::1", "[a]", "a b", "a:1:2", ":80",
    ] {
        for name in [":authority", "host"] {
            let error = with(&[(name, host)]).err().expect(host);
            assert_eq!(error.reason(), BAD_REQUEST, "{host}");
        }
    }
    assert!(with(&[(":authority", "a"), ("host", "b")]).is_err());
    assert!(with(&[("host", "a"), ("host", "a")]).is_err());
    assert!(with(&[(":authority", "a"), ("host", "A")]).is_ok());
    assert!(with(&[("host", "")]).unwrap().authority.is_none());
    assert!(with(&[(":authority", "")]).is_err());
}

#[test]
fn the_number_of_fields_is_limited_and_crumbs_are_one() {
    let crumbs = [("cookie", "a=1"), ("cookie", "b=2")];
    let three = [&crumbs[..], &[("x-a", "1"), ("x-b", "1")]].concat();
    let head = with(&three).unwrap();
    assert_eq!(head.headers.get(&header::COOKIE), Some(&b"a=1; b=2"[..]));
    assert_eq!(head.headers.len(), 3);
    let four = [&three[..], &[("x-b", "2")]].concat();
    let error = with(&four).err().unwrap();
    assert_eq!(error.reason(), HEADERS_TOO_LARGE);
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    for name in ["content_length", "transfer_encoding"] {
        assert!(with(&[(name, "1")]).is_err(), "{name}");
    }
    assert!(with(&[("x_length", "1")]).is_ok());
    let lower_case = [(":method", "get"), (":scheme", "http"), (":path", "/")];
    assert!(read_all(&lower_case).unwrap().head.is_err());
    let fragment = [(":method", "GET"), (":scheme", "http"), (":path", "/a#b")];
    assert!(read_all(&fragment).unwrap().head.is_err());
    let connect = [(":method", "CONNECT"), (":authority", "a:1")];
    assert!(read_all(&connect).unwrap().head.is_err());
}

#[test]
fn what_is_malformed_resets_the_stream() {
    let get = (":method", "GET");
    let http = (":scheme", "http");
    let root = (":path", "/");
    for fields in [
        &[][..],
        &[get, http],
        &[get, root],
        &[http, root],
        &[get, get, http, root],
        &[get, http, root, root],
        &[get, http, root, (":status", "200")],
        &[get, http, root, (":protocol", "websocket")],
        &[get, http, root, (":", "x")],
        &[get, http, ("x-a", "1"), root],
        &[get, http, (":path", "")],
        &[get, http, (":path", "*")],
        &[get, http, (":path", "a")],
        &[get, http, (":path", "/ ")],
        &[get, (":scheme", ""), root],
        &[get, (":scheme", "1http"), root],
        &[(":method", "G T"), http, root],
        &[(":method", ""), http, root],
        &[(":method", "CONNECT"), http, root, (":authority", "a:1")],
        &[(":method", "CONNECT")],
        &[get, http, root, ("X-A", "1")],
        &[get, http, root, ("x a", "1")],
        &[get, http, root, ("", "1")],
        &[get, http, root, ("x-a", "a\nb")],
        &[get, http, root, ("x-a", "a\rb")],
        &[get, http, root, ("x-a", "a\0b")],
        &[get, http, root, ("x-a", " a")],
        &[get, http, root, ("connection", "close")],
        &[get, http, root, ("keep-alive", "1")],
        &[get, http, root, ("proxy-connection", "close")],
        &[get, http, root, ("transfer-encoding", "chunked")],
        &[get, http, root, ("upgrade", "websocket")],
        &[get, http, root, ("te", "gzip")],
        &[get, http, root, ("content-length", "x")],
        &[get, http, root, ("content-length", "")],
        &[get, http, root, ("content-length", "+1")],
        &[get, http, root, ("content-length", "99999999999999999999")],
        &[
            get,
            http,
            root,
            ("content-length", "1"),
            ("content-length", "1"),
        ],
    ] {
        assert!(read_all(fields).is_err(), "{fields:?}");
    }
    let star = [(":method", "OPTIONS"), http, (":path", "*")];
    assert_eq!(read_all(&star).unwrap().head.unwrap().target, "*");
    let trailers = [get, http, root, ("te", "trailers")];
    assert!(read_all(&trailers).unwrap().head.is_ok());
}

#[test]
fn a_list_beyond_its_limit_is_answered() {
    let long = "x".repeat(70 << 10);
    let read = read_all(&[&START[..], &[("x-long", &long)]].concat()).unwrap();
    assert_eq!(read.head.err().unwrap().reason(), HEADERS_TOO_LARGE);
    let head = [(":method", "HEAD"), ("x-long", &long)];
    assert!(read_all(&head).unwrap().is_head);
}

#[test]
fn what_the_codec_needs_to_know_is_told() {
    let fields = [
        ("content-type", "application/grpc+proto"),
        ("content-length", "12"),
        ("expect", "100-Continue"),
    ];
    let read = read_all(&[&START[..], &fields].concat()).unwrap();
    assert!(read.is_grpc && read.expects_continue && !read.is_head);
    assert_eq!(read.length, Some(12));
}

#[test]
fn a_head_that_is_refused_says_whose_it_is() {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/a.B/C"),
        (":authority", "shop.example"),
        ("x-request-id", "id-1"),
        ("content-type", "application/grpc"),
        ("x-a", "1"),
        ("x-b", "1"),
    ];
    let mut error = with(&fields[4..]).err().unwrap();
    assert!(error.take_outline().is_some());
    let mut error = read_all(&fields).unwrap().head.err().unwrap();
    assert_eq!(error.reason(), HEADERS_TOO_LARGE);
    let outline = error.take_outline().unwrap();
    assert_eq!(outline.method, Some(Method::POST));
    assert_eq!(outline.target.as_ref().unwrap().path(), "/a.B/C");
    assert_eq!(outline.authority.as_ref().unwrap().host(), "shop.example");
    assert_eq!(outline.version, Some(Version::HTTP_2));
    assert_eq!(outline.dialect(), Dialect::Grpc);
    assert_eq!(outline.headers.len(), 4);
}

#[test]
fn a_content_type_behind_the_limit_still_says_whose_a_head_is() {
    let long = "y".repeat(70 << 10);
    let call = [("x-long", &*long), ("content-type", "application/grpc")];
    let fields = [&START[..], &call].concat();
    // As literals and, the second time, out of the table.
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::default();
    for _ in 0..2 {
        let mut wire = Vec::new();
        for (name, value) in &fields {
            encoder.field(&mut wire, name.as_bytes(), value.as_bytes());
        }
        let mut block = Block::default();
        block.clear(60 << 10);
        decoder.decode(&wire, &mut block).unwrap();
        let mut error = read(&mut block, 3).unwrap().head.err().unwrap();
        assert_eq!(error.reason(), HEADERS_TOO_LARGE);
        assert_eq!(error.take_outline().unwrap().dialect(), Dialect::Grpc);
        block.clear(60 << 10);
        assert!(block.dropped_type.is_empty());
    }
}
