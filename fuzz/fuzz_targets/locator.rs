#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| avp_conform::fuzzing::locator_round_trip(data));
