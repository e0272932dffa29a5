//! How faults are written down: name, requirement, one sentence, and only the methods that deviate.

/// Makes `pub(super) fn faults()` of a list of faults.
///
/// ```text
/// "name" breaks REQUIREMENT: "What this server does wrong." => {
///     state { seen: Mutex<HashSet<String>> }      // optional; starts out as its default
///     identity { fn … }                           // overrides of IdentityRules
///     vault { fn … }                              // overrides of VaultRules
///     edge { fn … }                               // overrides of Edge
/// }
/// [Slow] "name" breaks REQUIREMENT: "…" => { is SharedType(Route::Pull) }
/// ```
///
/// A type that several faults share implements the traits by itself, and `shared!(SharedType: vault, edge)` names them.
macro_rules! faults {
    ($($([$kind:ident])? $name:literal breaks $requirement:ident: $summary:literal => $body:tt)*) => {
        /// The faults of this area.
        pub(super) fn faults() -> Vec<crate::faults::Fault> {
            vec![$(crate::faults::Fault {
                info: crate::faults::FaultInfo {
                    name: $name,
                    requirement: crate::requirements::$requirement.id,
                    level: crate::requirements::$requirement.level,
                    summary: $summary,
                    kind: kind!($($kind)?),
                    only: None,
                },
                build: behaviour!($body),
            }),*]
        }
    };
}

/// Sequential unless said otherwise.
macro_rules! kind {
    () => {
        crate::faults::FaultKind::Sequential
    };
    ($kind:ident) => {
        crate::faults::FaultKind::$kind
    };
}

/// A function that makes what is broken.
macro_rules! behaviour {
    ({ is $value:expr }) => { || crate::faults::Shared::behaviour($value) };
    ({ state { $($field:ident: $type:ty),* $(,)? } $($part:ident { $($body:tt)* })* }) => {{
        #[derive(Default)]
        struct F { $($field: $type),* }
        $(part! { $part { $($body)* } })*
        || say!(F::default() => $($part),*)
    }};
    ({ $($part:ident { $($body:tt)* })* }) => { behaviour!({ state {} $($part { $($body)* })* }) };
}

/// The deviating methods of one of the three traits.
macro_rules! part {
    (identity { $($body:tt)* }) => { impl crate::server::rules::IdentityRules for F { $($body)* } };
    (vault { $($body:tt)* }) => { impl crate::server::rules::VaultRules for F { $($body)* } };
    (edge { $($body:tt)* }) => { impl crate::server::edge::Edge for F { $($body)* } };
}

/// One value as all that it has a say in, so that each sees the same state. Only these traits are implemented for it: the methods
/// of the others, a copy for each of a thousand faults, were a quarter of all functions that the compiler made.
macro_rules! say {
    ($value:expr => $($part:ident),*) => {{
        let value = std::sync::Arc::new($value);
        crate::server::Behaviour::default()$(.$part(std::sync::Arc::clone(&value) as _))*
    }};
}

/// In what a type that several faults share has a say.
macro_rules! shared {
    ($type:ty: $($part:ident),*) => {
        impl crate::faults::Shared for $type {
            fn behaviour(self) -> crate::server::Behaviour {
                say!(self => $($part),*)
            }
        }
    };
}
