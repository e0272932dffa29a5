//! Files that are read by position: nothing that happens to a file meanwhile does harm. (A map would end the process when
//! the file is cut under it.)

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::ops::Range;
use std::path::Path;

/// A file, open for reading.
#[derive(Debug)]
pub(super) struct Positioned {
    file: File,
    length: u64,
}

impl Positioned {
    /// Opens a regular file, without waiting for anything.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = File::options();
        options.read(true);
        // Between the look at it and this, the file may have become a fifo.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            rustix::fs::OFlags::NONBLOCK.bits().cast_signed(),
        );
        let file = options.open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::new(ErrorKind::InvalidInput, "isn't a regular file any more"));
        }
        Ok(Self { file, length: metadata.len() })
    }

    /// Opens a special file that is read by position all the same, such as a process's memory.
    #[cfg(target_os = "linux")]
    pub fn special(path: &Path) -> Result<Self> {
        Ok(Self { file: File::open(path)?, length: u64::MAX })
    }

    /// Length when it was opened.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads some bytes; 0 at the end.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        loop {
            #[cfg(unix)]
            let read = std::os::unix::fs::FileExt::read_at(&self.file, buffer, offset);
            #[cfg(windows)]
            let read = std::os::windows::fs::FileExt::seek_read(&self.file, buffer, offset);
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Fills the buffer.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        Ok(())
    }

    /// The next stretch from an offset on that holds data; holes of a sparse file are left out. `None` at the end.
    pub fn data(&self, from: u64) -> Option<Range<u64>> {
        #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
        {
            use rustix::fs::{SeekFrom, seek};
            match seek(&self.file, SeekFrom::Data(from)) {
                Ok(start) => {
                    let end = seek(&self.file, SeekFrom::Hole(start)).unwrap_or(self.length);
                    // The file may have grown since it was opened.
                    return if start < self.length { Some(start..end.clamp(start + 1, self.length)) } else { None };
                }
                Err(rustix::io::Errno::NXIO) => return None,
                // Not every file system knows holes.
                Err(_) => {}
            }
        }
        (from < self.length).then_some(from..self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_left_out() {
        use std::io::{Seek as _, SeekFrom, Write as _};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sparse");
        let mut file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        file.seek(SeekFrom::Start(1 << 39)).unwrap();
        file.write_all(b"somewhere in the middle").unwrap();
        file.sync_all().unwrap();
        let file = Positioned::open(&path).unwrap();
        let Some(data) = file.data(0) else { panic!("no data") };
        if data != (0..1 << 40) {
            // The file system knows holes.
            assert!(data.contains(&(1 << 39)) && data.end - data.start < 1 << 21, "{data:?}");
            assert_eq!(file.data(data.end), None);
        }
        assert!(Positioned::open(folder.path()).is_err());
    }
}
