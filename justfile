# What is typed most; `just` lists it. The gate is `.ci/run`.

_default:
    @just --list

# The tests, as the README has them
test:
    cargo test --locked

# Format, lints and documentation
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items

# Judge the built-in server; e.g. `just judge --fault push-stale-accepted`
judge *ARGS:
    cargo run --release --locked -- --embedded {{ARGS}}

# Judge the suite; e.g. `just selftest --only push-`
selftest *ARGS:
    cargo run --release --locked -- selftest {{ARGS}}

# What is generated and committed
generate:
    cargo run --locked -- selftest --coverage docs/coverage.md
    cargo run --locked -- vectors generate
    cargo run --locked -- explain --pages docs/checks

# The whole gate
gate:
    bash .ci/run
