//! What somebody may have meant.

/// `; did you mean push/*, …?`, or nothing if nothing is near.
pub(super) fn near_misses(typed: &str, candidates: impl Iterator<Item = String>) -> String {
    let bare = typed.trim_matches(['*', '/', '§']);
    let mut near: Vec<(f64, String)> = candidates
        .filter_map(|candidate| {
            let likeness = strsim::jaro_winkler(typed, &candidate);
            let inside = bare.len() > 2 && candidate.contains(bare);
            (inside || likeness > 0.8).then(|| (likeness + f64::from(u8::from(inside)), candidate))
        })
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    near.dedup_by(|a, b| a.1 == b.1);
    let names: Vec<_> = near.into_iter().take(3).map(|(_, name)| name).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(", ")) }
}
