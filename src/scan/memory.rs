//! The memory of a process, as Linux shows it in `/proc`.

#[cfg(target_os = "linux")]
mod linux {
    use std::io::ErrorKind;
    use std::ops::Range;
    use std::path::PathBuf;

    use crate::scan::file::Positioned;
    use crate::scan::source::SourceError;

    /// A stretch of addresses, and what it is.
    pub struct Region {
        pub addresses: Range<u64>,
        pub name: String,
    }

    fn failed(pid: u32, error: &std::io::Error) -> SourceError {
        let reason = match error.kind() {
            ErrorKind::NotFound => "there is no such process".to_owned(),
            ErrorKind::PermissionDenied => format!(
                "{error}; it takes the process's own user and /proc/sys/kernel/yama/ptrace_scope at 0, or root (CAP_SYS_PTRACE)"
            ),
            _ => error.to_string(),
        };
        SourceError::Process { pid, reason }
    }

    /// Opens it, and lists what the process itself can write or has made: not the code and constants of its program.
    pub fn open(pid: u32) -> Result<(Positioned, Vec<Region>), SourceError> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let maps = std::fs::read_to_string(folder.join("maps")).map_err(|error| failed(pid, &error))?;
        let memory = Positioned::special(&folder.join("mem")).map_err(|error| failed(pid, &error))?;
        let regions: Vec<_> = maps.lines().filter_map(region).collect();
        if regions.is_empty() {
            return Err(SourceError::Process {
                pid,
                reason: "it has none (a kernel thread, or a process that has ended)".into(),
            });
        }
        Ok((memory, regions))
    }

    /// A line of `maps`: addresses, permissions, offset, device, inode, name.
    fn region(line: &str) -> Option<Region> {
        let mut words = line.split_ascii_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let address = |text| u64::from_str_radix(text, 16).ok();
        let permissions = words.next()?;
        let name = words.nth(3).unwrap_or("anonymous");
        let is_program = name.starts_with('/') && !permissions.contains('w');
        let is_kernel = name.starts_with("[vvar") || name == "[vsyscall]" || name == "[vdso]";
        (permissions.starts_with('r') && !is_program && !is_kernel)
            .then(|| Some(Region { addresses: address(from)?..address(to)?, name: name.to_owned() }))?
    }

    /// Whether it can be read.
    pub fn check(pid: u32) -> Result<(), SourceError> {
        let (memory, regions) = open(pid)?;
        let mut byte = [0];
        let readable = |region: &Region| memory.read_at(&mut byte, region.addresses.start);
        match regions.iter().map(readable).find(|read| read.is_ok()) {
            Some(_) => Ok(()),
            None => Err(failed(pid, &ErrorKind::PermissionDenied.into())),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn lines_of_maps() {
            let heap = region("55d0c0a00000-55d0c0a21000 rw-p 00000000 00:00 0      [heap]").unwrap();
            assert_eq!((heap.addresses.start, heap.name.as_str()), (0x55d0_c0a0_0000, "[heap]"));
            assert_eq!(region("7f00-7f10 rw-p 00000000 00:00 0").unwrap().name, "anonymous");
            assert!(region("7f00-7f10 r-xp 00000000 08:01 123   /usr/bin/x").is_none());
            assert!(region("7f00-7f10 ---p 00000000 00:00 0").is_none());
            assert!(region("nonsense").is_none());
        }

        #[test]
        fn a_process_that_is_not_there() {
            assert!(check(u32::MAX).unwrap_err().to_string().contains("no such process"));
            assert!(check(std::process::id()).is_ok());
        }
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::{check, open};

/// Nobody's memory can be read here.
#[cfg(not(target_os = "linux"))]
pub(super) fn check(pid: u32) -> Result<(), super::source::SourceError> {
    Err(super::source::SourceError::Process { pid, reason: "that works on Linux only".into() })
}
