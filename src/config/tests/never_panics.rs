//! Whatever stands in a config, reading it ends.

use proptest::prelude::*;

use super::*;

fn survives(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.toml");
    fs::write(&file, bytes).unwrap();
    match load(&file) {
        Ok(loaded) => assert_eq!(loaded.warnings.errors(), 0),
        Err(report) => {
            assert!(report.errors() > 0);
            assert!(!report.to_string().is_empty());
            assert!(!report.first_line().is_empty());
        }
    }
}

/// A good config with some of its bytes replaced by others that mean something in TOML.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let text = include_bytes!("../../../config/outrigger.toml");
    let signs = prop::sample::select(b"[]{}=\".,'#\n\r\t 0aZ_-\x00\xc3\xff".to_vec());
    prop::collection::vec((0..text.len(), signs, 0..4usize), 1..12).prop_map(move |edits| {
        let mut bytes = text.to_vec();
        for (at, sign, gone) in edits {
            let at = at.min(bytes.len());
            let end = (at + gone).min(bytes.len());
            bytes.splice(at..end, [sign]);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn on_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(&bytes);
    }

    #[test]
    fn on_anything_like_toml(text in "[\\[\\]{}=\".,'#\n a-c_0-9é-]{0,120}") {
        survives(text.as_bytes());
    }

    #[test]
    fn on_a_config_with_slips(bytes in mutated()) {
        survives(&bytes);
    }
}
