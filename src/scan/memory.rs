//! The memory of a process, as Linux shows it in `/proc`.
//!
//! Some programs reserve address space by the terabyte and use little of it (the heaps of Java and Go, sanitizers, databases
//! that map their files). What they can't read themselves isn't listed as readable and is left out; of any other large region
//! only the pages are read that have been touched, by the page map.

#[cfg(target_os = "linux")]
mod linux {
    use std::io::ErrorKind;
    use std::ops::Range;
    use std::path::PathBuf;

    use crate::scan::error::SourceError;
    use crate::scan::file::Positioned;

    /// Regions up to this size are read as a whole.
    const LARGE: u64 = 256 << 20;
    /// How far into a region pages are looked for: 2 GiB of page map, which takes some seconds.
    const FARTHEST: u64 = 1 << 40;
    /// Fewer untouched pages than this between touched ones are read with them.
    const GAP: u64 = 16;
    /// Size of an entry of the page map.
    const ENTRY: usize = 8;
    /// Entries that are read at once.
    const ENTRIES: usize = 64 << 10;
    /// The bits of an entry that say that the page is in memory or in swap space.
    const TOUCHED: u64 = 0b11 << 62;

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

    /// Shows the parts of a region that are to be read, until `each` has had enough; says what is left out.
    pub fn parts(pid: u32, region: &Region, each: &mut dyn FnMut(Range<u64>) -> bool) -> Option<String> {
        let Range { start, end } = region.addresses;
        if end - start <= LARGE {
            each(start..end);
            return None;
        }
        let last = end.min(start + FARTHEST);
        let map = match Positioned::special(&PathBuf::from(format!("/proc/{pid}/pagemap"))) {
            Ok(map) => map,
            Err(error) => return Some(format!("so large that its pages have to be looked up, which fails: {error}")),
        };
        if let Err(error) = touched(&map, start..last, rustix::param::page_size() as u64, each) {
            return Some(format!("its pages can't be looked up to the end: {error}"));
        }
        (last < end).then(|| format!("{} GiB large; its first {} were searched", (end - start) >> 30, FARTHEST >> 30))
    }

    /// Shows the stretches of touched pages, those close to each other joined.
    fn touched(
        map: &Positioned,
        addresses: Range<u64>,
        page: u64,
        each: &mut dyn FnMut(Range<u64>) -> bool,
    ) -> std::io::Result<()> {
        let mut entries = vec![0; ENTRIES * ENTRY];
        let mut stretch: Option<Range<u64>> = None;
        let mut at = addresses.start;
        while at < addresses.end {
            let count = ((addresses.end - at) / page).clamp(1, ENTRIES as u64) as usize;
            map.read_exact_at(&mut entries[..count * ENTRY], at / page * ENTRY as u64)?;
            for entry in entries[..count * ENTRY].as_chunks::<ENTRY>().0 {
                if u64::from_ne_bytes(*entry) & TOUCHED != 0 {
                    let begin = match stretch.take() {
                        Some(open) if at - open.end <= GAP * page => open.start,
                        Some(done) if !each(done.clone()) => return Ok(()),
                        _ => at,
                    };
                    stretch = Some(begin..at + page);
                }
                at += page;
            }
        }
        stretch.map(each);
        Ok(())
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

        /// A terabyte of which three pages are touched: a sparse file, mapped by a process that reads some of it.
        #[test]
        fn of_large_regions_only_touched_pages_are_read() {
            use std::os::unix::fs::FileExt as _;
            let page = 4096;
            let map = tempfile::NamedTempFile::new().unwrap();
            map.as_file().set_len((1 << 40) / page * 8).unwrap();
            let present = (1_u64 << 63).to_ne_bytes();
            let (first, second, far) = (1 << 20, (1 << 20) + 3 * page, 1 << 30);
            for address in [first, second, far] {
                map.as_file().write_all_at(&present, address / page * 8).unwrap();
            }
            let map = Positioned::open(map.path()).unwrap();
            let mut found = Vec::new();
            touched(&map, 0..1 << 32, page, &mut |part| {
                found.push(part);
                true
            })
            .unwrap();
            assert_eq!(found, [first..second + page, far..far + page]);
            found.clear();
            touched(&map, 0..1 << 32, page, &mut |part| {
                found.push(part);
                false
            })
            .unwrap();
            assert_eq!(found.len(), 1);
        }

        #[test]
        fn a_process_that_is_not_there() {
            assert!(check(u32::MAX).unwrap_err().to_string().contains("no such process"));
            assert!(check(std::process::id()).is_ok());
        }
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::{check, open, parts};

/// Nobody's memory can be read here.
#[cfg(not(target_os = "linux"))]
pub(super) fn check(pid: u32) -> Result<(), super::error::SourceError> {
    Err(super::error::SourceError::Process { pid, reason: "that works on Linux only".into() })
}
