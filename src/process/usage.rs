//! What a program has used: memory and processor time, as far as the system tells.

use std::time::Duration;

use rustix::param::clock_ticks_per_second;

use super::family::Relative;

/// Memory and processor time of a program and all that belongs to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The most memory that it has had at once, in bytes: the sum of the peaks of its processes.
    pub peak_memory: u64,
    /// Processor time, in user and system mode, those of its children that have ended included.
    pub cpu: Duration,
}

impl Usage {
    /// Of one start after the other: memory isn't needed twice, time is.
    pub fn and_then(self, later: Self) -> Self {
        Self { peak_memory: self.peak_memory.max(later.peak_memory), cpu: self.cpu + later.cpu }
    }

    /// A later look at the same start.
    pub(super) fn grown_to(self, now: Self) -> Self {
        Self { peak_memory: self.peak_memory.max(now.peak_memory), cpu: self.cpu.max(now.cpu) }
    }
}

/// What processes have used until now. `None` where the system doesn't say.
pub(super) fn of(family: &[Relative], group: Option<i32>) -> Option<Usage> {
    let all: Vec<Usage> = family.iter().filter_map(|relative| of_process(relative.pid)).collect();
    if all.is_empty() { group.and_then(by_ps) } else { Some(all.into_iter().fold(Usage::default(), beside)) }
}

/// Of processes that run at the same time.
fn beside(one: Usage, other: Usage) -> Usage {
    Usage { peak_memory: one.peak_memory + other.peak_memory, cpu: one.cpu + other.cpu }
}

/// By `/proc`, which is Linux.
fn of_process(pid: i32) -> Option<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(Usage { peak_memory: peak(&status)?, cpu: cpu(&stat, clock_ticks_per_second())? })
}

/// `VmHWM`, the high-water mark of what is resident.
fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Fields 14 to 17: user and system time, and the same of children that were waited for.
fn cpu(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Some(Duration::from_millis(ticks * 1000 / ticks_per_second.max(1)))
}

/// By `ps`, which POSIX has: what is resident now. Looked at often, the largest is near the peak.
fn by_ps(group: i32) -> Option<Usage> {
    let output = std::process::Command::new("ps").args(["-A", "-o", "pgid=,rss=,time="]).output().ok()?;
    of_list(&String::from_utf8_lossy(&output.stdout), group)
}

fn of_list(list: &str, group: i32) -> Option<Usage> {
    let rows = list.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let in_group = fields.next()?.parse() == Ok(group);
        let kib: u64 = fields.next()?.parse().ok()?;
        let cpu = clock_time(fields.next()?)?;
        in_group.then_some(Usage { peak_memory: kib * 1024, cpu })
    });
    rows.reduce(beside)
}

/// `[[dd-]hh:]mm:ss[.cc]`
fn clock_time(text: &str) -> Option<Duration> {
    let (days, rest) = text.split_once('-').unwrap_or(("0", text));
    let mut seconds = days.parse::<f64>().ok()? * 86_400.0;
    let parts: Vec<&str> = rest.split(':').collect();
    for (part, unit) in parts.iter().rev().zip([1.0, 60.0, 3600.0]) {
        seconds += part.parse::<f64>().ok()? * unit;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_linux_says() {
        assert_eq!(peak("Name:\tx\nVmPeak:\t  999 kB\nVmHWM:\t    20 kB\n"), Some(20 * 1024));
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 100 50 25 25 20 0 1 0 5 6 7";
        assert_eq!(cpu(stat, 100), Some(Duration::from_secs(2)));
        assert_eq!(cpu("7 (x", 100), None);
    }

    #[test]
    fn what_ps_says() {
        let list = "    1   100   0:01.50\n   42  2048   1:00.25\n   42     8  01:00:01\nnonsense\n";
        let usage = of_list(list, 42).unwrap();
        assert_eq!((usage.peak_memory, usage.cpu), (2056 * 1024, Duration::from_millis(3_661_250)));
        assert_eq!(of_list(list, 43), None);
        assert_eq!(clock_time("1-00:00:01"), Some(Duration::from_secs(86_401)));
    }
}
