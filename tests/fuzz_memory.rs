//! No input of 64 KiB makes a target take 64 MiB. Alone in its process, as it counts everything that is allocated in it.

use std::alloc::System;

use avp_conform::fuzzing::TARGETS;
use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const INPUT: usize = 64 << 10;
const BOUND: usize = 64 << 20;

fn filled(unit: &str) -> Vec<u8> {
    unit.bytes().cycle().take(INPUT).collect()
}

#[test]
fn small_inputs_take_little_memory() {
    let half = "[".repeat(INPUT / 2) + &"]".repeat(INPUT / 2);
    let lists = format!("[{}0]", "0,".repeat(INPUT / 2 - 4));
    let objects = format!("[{}0]", "{},".repeat(INPUT / 3 - 4));
    let cases = format!("\0{{\"cases\":[{}0]}}", "0,".repeat(INPUT / 2 - 20));
    let members = format!("{{\"members\":[{}0],\"alts\":[]}}", "[],".repeat(INPUT / 3 - 20));
    let inputs = [
        filled("A"),
        filled("="),
        filled("/"),
        filled("\u{1f511}"),
        filled("\""),
        filled("\\u0000"),
        filled("[{\"v\":"),
        vec![0xff; INPUT],
        vec![0; INPUT],
        half.into_bytes(),
        lists.into_bytes(),
        objects.into_bytes(),
        cases.into_bytes(),
        members.into_bytes(),
    ];
    for (name, body) in TARGETS {
        // What is made once and kept (compiled schemas) doesn't count.
        body(b"{}");
        for input in &inputs {
            ALLOCATOR.set_limit(ALLOCATOR.allocated() + BOUND).expect("the bound lies above what is taken");
            // Beyond the limit an allocation fails, and the process with it.
            body(input);
            ALLOCATOR.set_limit(usize::MAX).expect("no bound");
        }
        eprintln!("{name}: within {BOUND} bytes");
    }
}
