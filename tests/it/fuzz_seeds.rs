//! Every seed, those made of the vectors and every regression in `fuzz/seeds`, goes through its target, on stable and in moments.

use std::path::{Path, PathBuf};

use avp_conform::fuzzing::{self, TARGETS, seeds};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

#[test]
fn committed_seeds_pass_their_targets() {
    for (name, body) in TARGETS {
        let seeds: Vec<_> = std::fs::read_dir(root().join("seeds").join(name)).expect(name).collect();
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in seeds {
            let data = std::fs::read(seed.unwrap().path()).unwrap();
            body(&data);
            // Every beginning of a seed is a seed, too.
            (0..data.len().min(400)).for_each(|end| body(&data[..end]));
        }
    }
}

#[test]
fn seeds_made_of_the_vectors_pass_their_targets() {
    let seeds = seeds().unwrap();
    for (name, _) in TARGETS {
        assert!(seeds.iter().any(|seed| seed.target == *name), "{name} has no seeds");
    }
    for seed in seeds {
        let (_, body) = TARGETS.iter().find(|(name, _)| *name == seed.target).expect(seed.target);
        body(&seed.bytes);
        // One change in the middle: still text where it was text.
        let mut data = seed.bytes.clone();
        let middle = data.len() / 2;
        if let Some(byte) = data.get_mut(middle) {
            *byte = if *byte == b'1' { b'2' } else { b'1' };
        }
        body(&data);
    }
}

#[test]
fn every_target_has_its_file_and_its_entry() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let file = std::fs::read_to_string(root().join(format!("fuzz_targets/{name}.rs"))).expect(name);
        assert!(file.contains(&format!("avp_conform::fuzzing::{name}(data)")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} isn't in fuzz/Cargo.toml");
    }
    assert_eq!(std::fs::read_dir(root().join("fuzz_targets")).unwrap().count(), TARGETS.len());
}

#[test]
fn the_dictionary_has_every_member_of_the_schema() {
    let dictionary = std::fs::read_to_string(root().join("dictionaries/avp.dict")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(avp_conform::wire::SCHEMA_JSON).unwrap();
    for definition in schema["$defs"].as_object().unwrap().values() {
        for name in definition["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
            assert!(dictionary.contains(&format!("\"\\\"{name}\\\":\"")), "{name}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_pass_every_target(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..160)) {
        TARGETS.iter().for_each(|(_, body)| body(&data));
    }

    #[test]
    fn any_base64_like_text_passes(text in "[A-Za-z0-9+/=]{0,16}") {
        fuzzing::base64(text.as_bytes());
    }
}
