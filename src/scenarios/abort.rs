//! Why a run ends before its last check.

/// Why a run can't go on.
#[derive(Clone, Debug)]
pub struct Abort {
    /// One sentence: what is wrong with the target.
    pub reason: String,
    /// What to try.
    pub advice: String,
}
