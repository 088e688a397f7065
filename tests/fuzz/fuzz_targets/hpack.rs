//! Header blocks, one after another on one connection: no panic, no more kept than the limit allows, and what was
//! read can be written and read again. Each block of the input stands behind a byte that says its length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::codec::h2::hpack::OVERHEAD;
use outrigger::codec::h2::hpack::decode::{Block, Decoder};
use outrigger::codec::h2::hpack::encode::Encoder;

const LIMIT: usize = 2 << 10;

fuzz_target!(|input: &[u8]| {
    let mut rest = input;
    let (mut decoder, mut again) = (Decoder::default(), Decoder::default());
    let mut encoder = Encoder::default();
    let mut block = Block::default();
    while let Some((length, tail)) = rest.split_first() {
        let (wire, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        block.clear(LIMIT);
        if decoder.decode(wire, &mut block).is_err() {
            return;
        }
        let fields = fields(&block);
        let size: usize = fields.iter().map(|(n, v)| n.len() + v.len() + OVERHEAD).sum();
        assert!(size <= LIMIT);
        let mut written = Vec::new();
        encoder.begin(&mut written);
        for (name, value) in &fields {
            encoder.field(&mut written, name, value);
        }
        block.clear(LIMIT);
        again.decode(&written, &mut block).expect("what we write is read");
        assert_eq!(self::fields(&block), fields);
    }
});

fn fields(block: &Block) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields = block.fields.iter();
    let fields = fields.map(|field| (field.name(&block.bytes).to_vec(), field.value(&block.bytes).to_vec()));
    fields.collect()
}
