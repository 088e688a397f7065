use http::{Method, StatusCode};
use proptest::prelude::*;

use super::decode::{Block, Decoder, Malformed};
use super::encode::Encoder;
use super::huffman;
use super::{OVERHEAD, TABLE_SIZE};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn bytes(hex: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex.bytes().filter(|b| *b != b' ').collect();
    hex.chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn decode(decoder: &mut Decoder, wire: &[u8], limit: usize) -> Result<(Fields, bool), Malformed> {
    let mut block = Block::default();
    block.clear(limit);
    decoder.decode(wire, &mut block)?;
    let fields = block.fields.iter();
    let fields = fields.map(|f| {
        (
            f.name(&block.bytes).to_vec(),
            f.value(&block.bytes).to_vec(),
        )
    });
    Ok((fields.collect(), block.too_large))
}

fn decoded(decoder: &mut Decoder, wire: &[u8]) -> Vec<(String, String)> {
    let (fields, _) = decode(decoder, wire, 1 << 20).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    fields
        .into_iter()
        .map(|(n, v)| (text(n), text(v)))
        .collect()
}

#[test]
fn the_literals_of_the_standard() {
    // RFC 7541, appendix C.2.
    for (wire, name, value) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            "custom-key",
            "custom-header",
        ),
        (
            "040c 2f73 616d 706c 652f 7061 7468",
            ":path",
            "/sample/path",
        ),
        (
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            "password",
            "secret",
        ),
        ("82", ":method", "GET"),
    ] {
        let fields = decoded(&mut Decoder::default(), &bytes(wire));
        assert_eq!(fields, [(name.to_owned(), value.to_owned())]);
    }
}

#[test]
fn the_requests_of_the_standard() {
    // RFC 7541, appendices C.3 and C.4: the same with and without Huffman coding.
    for wires in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        let mut decoder = Decoder::default();
        let mut last = Vec::new();
        for wire in wires {
            last = decoded(&mut decoder, &bytes(wire));
            assert_eq!(last[3], (":authority".into(), "www.example.com".into()));
        }
        assert_eq!(last[2], (":path".into(), "/index.html".into()));
        assert_eq!(last[4], ("custom-key".into(), "custom-value".into()));
    }
}

#[test]
fn the_answers_of_the_standard_whose_table_is_small() {
    // RFC 7541, appendices C.5 and C.6: a table of 256 bytes, from which entries fall.
    for wires in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a \
             3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 \
             677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 \
             553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e \
             919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 \
             821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed \
             4ee5 b106 3d50 07",
        ],
    ] {
        let mut decoder = Decoder::default();
        // Its owner says so at the beginning of the first block.
        let first = [&[0x3f, 0xe1, 0x01][..], &bytes(wires[0])].concat();
        let fields = decoded(&mut decoder, &first);
        assert_eq!(fields[0], (":status".into(), "302".into()));
        assert_eq!(
            fields[3],
            ("location".into(), "https://www.example.com".into())
        );
        let second = decoded(&mut decoder, &bytes(wires[1]));
        assert_eq!(second[0], (":status".into(), "307".into()));
        assert_eq!(second[1..], fields[1..]);
        let third = decoded(&mut decoder, &bytes(wires[2]));
        assert_eq!(third[0], (":status".into(), "200".into()));
        assert_eq!(third[2].1, "Mon, 21 Oct 2013 20:13:22 GMT");
        assert_eq!(third[4], ("content-encoding".into(), "gzip".into()));
        assert!(third[5].1.starts_with("foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU;"));
    }
}

#[test]
fn what_cannot_be_decoded_is_malformed() {
    for wire in [
        "80",                // Index 0.
        "be",                // An index beyond the tables.
        "7f00",              // A name of such an index.
        "ff80 8080 8080 01", // An integer without end.
        "ffff ffff ff0f",    // One that is too large.
        "40",                // Strings that are missing or cut.
        "4001 61",
        "4005 61",
        "0001 6101",
        "0081 ff00", // A Huffman code that is none.
        "823f e101", // A size behind a field.
        "3fe2 1f",   // A size above what was allowed: 4097.
    ] {
        let outcome = decode(&mut Decoder::default(), &bytes(wire), 1 << 20);
        assert_eq!(outcome.err(), Some(Malformed), "{wire}");
    }
    assert!(decode(&mut Decoder::default(), &bytes("3fe1 1f20"), 10).is_ok());
}

/// One value in the table, and thousands of references of one byte: nothing is copied beyond the limit.
#[test]
fn a_small_block_with_a_huge_list_is_cut_short() {
    let mut wire = vec![0x40, 1, b'x', 0x7f];
    wire.extend_from_slice(&[0x80 | (3900 - 127) as u8 & 0x7f, ((3900 - 127) >> 7) as u8]);
    wire.extend_from_slice(&[b'a'; 3900]);
    wire.extend_from_slice(&[0xbe; 8000]);
    let mut decoder = Decoder::default();
    let mut block = Block::default();
    block.clear(60 << 10);
    decoder.decode(&wire, &mut block).unwrap();
    assert!(block.too_large && block.bytes.capacity() < 256 << 10);
    // The table is what it must be for the next block.
    block.clear(60 << 10);
    decoder.decode(&[0xbe], &mut block).unwrap();
    assert_eq!(block.fields[0].value_len, 3900);
}

#[test]
fn what_repeats_is_sent_as_an_index_and_secrets_never() {
    let mut encoder = Encoder::default();
    let mut lengths = Vec::new();
    for _ in 0..3 {
        let mut out = Vec::new();
        encoder.field(&mut out, b"content-type", b"application/grpc");
        lengths.push(out.len());
    }
    assert_eq!(lengths, [2 + 17, 1 + 17, 1]);
    for secret in [
        "authorization",
        "cookie",
        "set-cookie",
        "proxy-authorization",
        "x-api-key",
    ] {
        for _ in 0..3 {
            let mut out = Vec::new();
            encoder.field(&mut out, secret.as_bytes(), b"hush");
            assert!(out[0] & 0xf0 == 0x10 && out.ends_with(b"hush"), "{secret}");
        }
    }
}

#[test]
fn a_table_that_shrinks_and_grows_is_announced() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let mut send = |encoder: &mut Encoder| {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        encoder.field(&mut out, b"x-a", b"1");
        assert_eq!(decoded(&mut decoder, &out), [("x-a".into(), "1".into())]);
        out
    };
    for _ in 0..3 {
        send(&mut encoder);
    }
    encoder.set_max_size(0);
    encoder.set_max_size(100);
    let out = send(&mut encoder);
    assert_eq!(out[..3], [0x20, 0x3f, 100 - 31]);
    assert_eq!(send(&mut encoder).len(), 1);
    encoder.set_max_size(0);
    assert_eq!(send(&mut encoder)[0], 0x20);
    for _ in 0..3 {
        assert!(send(&mut encoder).len() > 1, "nothing is remembered");
    }
    encoder.set_max_size(1 << 20);
    assert_eq!(
        send(&mut encoder)[..3],
        [0x3f, 0xe1, 0x1f],
        "no more than our size"
    );
}

fn text(lengths: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(b'a'), Just(b'-'), any::<u8>()], lengths)
}

fn blocks() -> impl Strategy<Value = Vec<Vec<(u8, Vec<u8>)>>> {
    let field = (
        0..6u8,
        prop_oneof![4 => text(0..4), 1 => text(0..300), 1 => Just(vec![b'x'; 5000])],
    );
    prop::collection::vec(prop::collection::vec(field, 0..8), 0..12)
}

const NAMES: [&[u8]; 6] = [
    b"x-custom",
    b"content-type",
    b":path",
    b"cookie",
    b"date",
    b"grpc-status",
];

proptest! {
    /// Whatever is sent, however often, and however the table is sized meanwhile, comes back.
    #[test]
    fn every_block_comes_back(blocks in blocks(), sizes in prop::collection::vec(0..6000usize, 12)) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        for (number, (block, size)) in blocks.iter().zip(sizes).enumerate() {
            if number % 3 == 2 {
                encoder.set_max_size(size);
            }
            let mut out = Vec::new();
            encoder.begin(&mut out);
            let mut sent = Vec::new();
            for (name, value) in block {
                let name = NAMES[usize::from(*name)];
                encoder.field(&mut out, name, value);
                sent.push((name.to_vec(), value.clone()));
            }
            let (fields, too_large) = decode(&mut decoder, &out, 1 << 20).unwrap();
            prop_assert_eq!(&fields, &sent);
            prop_assert!(!too_large);
        }
    }

    /// No input panics, and no more is kept than the limit allows.
    #[test]
    fn nothing_that_arrives_does_harm(wires in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..6)) {
        let mut decoder = Decoder::default();
        for wire in wires {
            let Ok((fields, _)) = decode(&mut decoder, &wire, 500) else { break };
            let size: usize = fields.iter().map(|(n, v)| n.len() + v.len() + OVERHEAD).sum();
            prop_assert!(size <= 500);
        }
    }

    /// Huffman-coded or not, indexed or not: the same fields.
    #[test]
    fn every_form_of_a_literal_is_read(value in text(0..200), form in 0..3u8) {
        let mut wire = vec![[0x40, 0x00, 0x10][usize::from(form)]];
        for text in [&b"x-name"[..], &value] {
            let mut coded = Vec::new();
            huffman::encode(text, &mut coded);
            prop_assume!(coded.len() < 127);
            wire.push(0x80 | coded.len() as u8);
            wire.extend_from_slice(&coded);
        }
        let (fields, _) = decode(&mut Decoder::default(), &wire, TABLE_SIZE).unwrap();
        prop_assert_eq!(fields, vec![(b"x-name".to_vec(), value)]);
    }
}

#[test]
fn methods_and_statuses_come_back() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    for code in [200, 204, 206, 304, 400, 404, 500, 201, 302, 599] {
        let mut out = Vec::new();
        encoder.status(&mut out, StatusCode::from_u16(code).unwrap());
        assert_eq!(
            decoded(&mut decoder, &out),
            [(":status".into(), code.to_string())]
        );
    }
    for method in [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::from_bytes(b"X").unwrap(),
    ] {
        let mut out = Vec::new();
        encoder.method(&mut out, &method);
        assert_eq!(
            decoded(&mut decoder, &out),
            [(":method".into(), method.to_string())]
        );
    }
}
