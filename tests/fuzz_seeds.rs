//! Every seed and every regression of `fuzz/seeds` goes through its target, on stable and in moments.

use std::path::Path;

use avp_conform::fuzzing::TARGETS;

#[test]
fn seeds_pass_their_targets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, body) in TARGETS {
        let seeds: Vec<_> = std::fs::read_dir(root.join("seeds").join(name)).expect(name).collect();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            let path = seed.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            body(&data);
            // Every beginning of a seed is a seed, too.
            (0..data.len().min(400)).for_each(|end| body(&data[..end]));
        }
        assert!(root.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} has no target file");
    }
    let files = std::fs::read_dir(root.join("fuzz_targets")).unwrap().count();
    assert_eq!(files, TARGETS.len());
}

proptest::proptest! {
    #[test]
    fn any_bytes_pass_every_target(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120)) {
        TARGETS.iter().for_each(|(_, body)| body(&data));
    }

    #[test]
    fn any_base64_like_text_passes(text in "[A-Za-z0-9+/=]{0,16}") {
        avp_conform::fuzzing::base64_one_spelling(text.as_bytes());
    }
}
