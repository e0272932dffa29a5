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

/// A function that makes the rules and the edge of a fault.
macro_rules! behaviour {
    ({ is $value:expr }) => { || crate::faults::both($value) };
    ({ state { $($field:ident: $type:ty),* $(,)? } $($trait:ident { $($body:tt)* })* }) => {{
        #[derive(Default)]
        struct F { $($field: $type),* }
        impl crate::server::rules::IdentityRules for F { pick! { identity $($trait { $($body)* })* } }
        impl crate::server::rules::VaultRules for F { pick! { vault $($trait { $($body)* })* } }
        impl crate::server::edge::Edge for F { pick! { edge $($trait { $($body)* })* } }
        || crate::faults::both(F::default())
    }};
    ({ $($trait:ident { $($body:tt)* })* }) => { behaviour!({ state {} $($trait { $($body)* })* }) };
}

/// The methods that are meant for one of the three traits.
macro_rules! pick {
    (identity identity { $($body:tt)* } $($rest:tt)*) => { $($body)* pick! { identity $($rest)* } };
    (vault vault { $($body:tt)* } $($rest:tt)*) => { $($body)* pick! { vault $($rest)* } };
    (edge edge { $($body:tt)* } $($rest:tt)*) => { $($body)* pick! { edge $($rest)* } };
    ($wanted:ident $other:ident { $($body:tt)* } $($rest:tt)*) => { pick! { $wanted $($rest)* } };
    ($wanted:ident) => {};
}
