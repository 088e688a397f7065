//! JSON, scanned: the same verdict as the reader that copies, the same values, and the same text when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrigger::policy::body::document::{Document, Draft, read};

fuzz_target!(|input: &[u8]| {
    match (read(input), Document::scan(input)) {
        (Ok(tree), Ok(document)) => {
            assert_eq!(written(&document), tree.to_string().as_bytes());
            assert_eq!(document.root().to_value(), tree);
        }
        (Err(why), Err(same)) => {
            assert!(why == same || may_have_surrogates(input), "{why} or {same}")
        }
        // With surrogate escapes that stand alone, which a tree cannot hold.
        (Err(_), Ok(document)) => {
            assert!(may_have_surrogates(input));
            let once = written(&document);
            let again = Document::scan(&once).expect("what we write is read");
            assert_eq!(written(&again), once);
        }
        (Ok(tree), Err(why)) => panic!("{tree} or {why}"),
    }
});

fn written(document: &Document<'_>) -> Vec<u8> {
    let whole = Draft::Node(document.root());
    document
        .write(&whole, usize::MAX)
        .expect("there is no limit")
}

fn may_have_surrogates(input: &[u8]) -> bool {
    input.windows(2).any(|pair| pair == b"\\u")
}
