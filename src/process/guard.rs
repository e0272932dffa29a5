//! Ends what the suite has started when the suite itself is killed.
//!
//! A shell waits at the end of a pipe. The suite tells it the process group of each start; when the pipe closes without a
//! word, the suite is gone, and the shell ends the last group and whoever carries its mark.

use std::io::{self, Write as _};
use std::process::{Child, Command, Stdio};

use super::family::MARK;

/// `$1` is the mark. Environments are shown by Linux only; elsewhere the group has to do.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
last=
while read -r group; do last=$group; done
[ -n "$last" ] || exit 0
kill -KILL "-$last" 2>/dev/null
for folder in /proc/[0-9]*; do
    if tr '\0' '\n' <"$folder/environ" 2>/dev/null | grep -q -x "$1"; then kill -KILL "${folder#/proc/}"; fi
done 2>/dev/null
"#;

/// The shell that waits.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    /// # Errors
    /// There is no `/bin/sh`.
    pub fn start(mark: &str) -> io::Result<Self> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "avp-conform-guard", &format!("{MARK}={mark}")]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C is for the suite, which then decides.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().map(Self)
    }

    /// Says which group is to be ended with the suite, if any.
    pub fn watch(&mut self, group: Option<i32>) {
        let line = group.map(|group| group.to_string()).unwrap_or_default();
        if let Some(pipe) = &mut self.0.stdin {
            // Somebody has killed the shell; then there is nobody to tell.
            let _ = writeln!(pipe, "{line}");
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.watch(None);
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
