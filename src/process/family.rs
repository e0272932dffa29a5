//! Who belongs to a program: its process group, and whoever has left that group but still carries the mark in its
//! environment that the program was started with (Linux, where the system shows environments).

use std::path::Path;

/// Name of the mark in the environment.
pub(super) const MARK: &str = "AVP_CONFORM_STARTED";

/// A process that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relative {
    pub pid: i32,
    pub group: i32,
}

/// The processes of a group, and those that carry the mark. Empty where the system doesn't show them.
pub(super) fn family(group: Option<i32>, mark: &str) -> Vec<Relative> {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = folder.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| relative(pid, group, mark)).collect()
}

fn relative(pid: i32, group: Option<i32>, mark: &str) -> Option<Relative> {
    let folder = Path::new("/proc").join(pid.to_string());
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name in parentheses may hold anything; after it: state, parent, group.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    let its_group: i32 = fields.nth(1)?.parse().ok()?;
    // Ended, and only waiting to be collected.
    if matches!(state, "Z" | "X") {
        return None;
    }
    let related = group == Some(its_group) || carries(&folder, mark);
    related.then_some(Relative { pid, group: its_group })
}

fn carries(folder: &Path, mark: &str) -> bool {
    let Ok(environment) = std::fs::read(folder.join("environ")) else { return false };
    let wanted = format!("{MARK}={mark}");
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
}
