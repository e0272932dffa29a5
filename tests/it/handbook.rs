//! The handbook: what `explain` says, and the pages that are made of it.

use std::path::Path;

use crate::cli::{run, usage_error};

#[test]
fn the_pages_are_those_that_explain_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks");
    let pages = avp_conform::handbook::pages();
    let mut stale: Vec<String> = Vec::new();
    for (name, text) in &pages {
        if std::fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text) {
            stale.push(name.clone());
        }
    }
    let there = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    stale.extend(there.filter(|name| !pages.contains_key(name)));
    assert_eq!(
        stale,
        [] as [String; 0],
        "avp-conform explain --pages docs/checks writes them; delete what is no area any more"
    );
}

#[test]
fn checks_and_requirements_are_explained() {
    let (out, _) = run(&["explain", "push/stale-is-conflict", "AVP-6-push-gated"], 0);
    for word in
        ["push/stale-is-conflict  §6 · must", "why ", "how ", "mend ", "--only push/stale-is-conflict", "checks "]
    {
        assert!(out.contains(word), "{word}\n{out}");
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert!(usage_error(&["explain", "push/stale-is-a-conflict"]).contains("did you mean push/stale-is-conflict"));
    assert!(usage_error(&["explain", "AVP-6-push-gatd"]).contains("AVP-6-push-gated"));
}

#[test]
fn shells_and_man_know_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (out, _) = run(&["completions", shell], 0);
        assert!(out.contains("avp-conform") && out.contains("write-known"), "{shell}");
    }
    let (out, _) = run(&["man"], 0);
    assert!(out.contains(".TH") && out.contains("\\-\\-server"), "{out}");
    assert!(run(&["man", "fuzz"], 0).0.contains("\\-\\-cases"));
    assert!(usage_error(&["man", "fuz"]).contains("did you mean fuzz"));
}
