//! Where a program listens, as Linux shows it: to tell somebody that it is another port than the one that was meant.

use std::collections::BTreeSet;

/// State of a socket that listens, in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The TCP ports on which processes listen, in order.
pub(super) fn listening(processes: &[u32]) -> Vec<u16> {
    let mut ports = BTreeSet::new();
    for pid in processes {
        let sockets = sockets(*pid);
        for table in ["tcp", "tcp6"] {
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            ports.extend(rows(&table).filter(|(_, inode)| sockets.contains(*inode)).map(|(port, _)| port));
        }
    }
    ports.into_iter().collect()
}

/// Inodes of the sockets that a process has open.
fn sockets(pid: u32) -> BTreeSet<String> {
    let Ok(folder) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return BTreeSet::new() };
    let targets = folder.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let inode =
        |target: std::path::PathBuf| Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned());
    targets.filter_map(inode).collect()
}

/// Port and inode of every listening socket in a table.
fn rows(table: &str) -> impl Iterator<Item = (u16, &str)> {
    table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
        (*state == LISTENING).then_some((port, *inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:2253 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100 0 0 10 0\n   \
            1: 0100007F:2253 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1\n";
        assert_eq!(rows(table).collect::<Vec<_>>(), [(8787, "4711")]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn our_own_port_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listening(&[std::process::id()]).contains(&port));
    }
}
