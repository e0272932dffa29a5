//! `docs/coverage.md` is what the program would write now.

#[test]
fn coverage_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/coverage.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == avp_conform::selftest::coverage(),
        "docs/coverage.md is stale: cargo run -- selftest --coverage docs/coverage.md"
    );
}
