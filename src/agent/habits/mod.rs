//! What the built-in client can do wrong (faults, to measure the judge of clients) or oddly (quirks, which it must let
//! pass).

mod plain;
mod quirks;
mod subtle;

use crate::requirements::{Level, Requirement};

/// One habit, by its name. Each has a constant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habit(&'static str);

/// What is to be known about a habit.
#[derive(Clone, Copy, Debug)]
pub struct HabitInfo {
    /// Which one.
    pub habit: Habit,
    /// Kebab-case name, for ever.
    pub name: &'static str,
    /// The rule that a fault breaks; `None` for a quirk.
    pub breaks: Option<&'static Requirement>,
    /// What the client does.
    pub summary: &'static str,
}

/// Declares habits: `CONSTANT("name", RULE) = "What the client does in a sentence."`, without a rule for a quirk.
macro_rules! habits {
    ($($habit:ident($name:literal $(, $rule:ident)?) = $summary:literal,)*) => {
        impl Habit {
            $(#[doc = $summary] pub const $habit: Self = Self($name);)*
        }

        /// The habits of this file.
        pub(super) const HABITS: &[HabitInfo] = &[$(HabitInfo {
            habit: Habit::$habit,
            name: $name,
            breaks: habits!(@rule $($rule)?),
            summary: $summary,
        }),*];
    };
    (@rule) => { None };
    (@rule $rule:ident) => { Some(&crate::requirements::$rule) };
}

use habits;

impl HabitInfo {
    /// Level of the broken rule.
    pub fn level(&self) -> Option<Level> {
        self.breaks.map(|rule| rule.level)
    }
}

impl Habit {
    /// All faults.
    pub fn faults() -> impl Iterator<Item = &'static HabitInfo> {
        plain::HABITS.iter().chain(subtle::HABITS)
    }

    /// All quirks.
    pub fn quirks() -> impl Iterator<Item = &'static HabitInfo> {
        quirks::HABITS.iter()
    }
}

/// The habits of one client; none for the clean one.
#[derive(Clone, Debug, Default)]
pub struct Habits(pub Vec<Habit>);

impl Habits {
    /// Whether the client has this one.
    pub fn has(&self, habit: Habit) -> bool {
        self.0.contains(&habit)
    }
}
