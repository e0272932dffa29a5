//! The built-in server as a process of its own, and what several measurements come to.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Ends a server with the program.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; there is nobody to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server with these quirks; its address is an `http` URL.
pub fn serve(quirks: &[&str]) -> (Server, String) {
    let child = Command::new(env!("CARGO_BIN_EXE_avp-conform"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(quirks.iter().flat_map(|quirk| ["--quirk", quirk]))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut server = Server(child.expect("the program runs"));
    let output = BufReader::new(server.0.stdout.take().expect("it was piped"));
    let url = output.lines().map_while(Result::ok).find_map(|line| {
        let at = line.find("http://")?;
        Some(line[at..].split_whitespace().next()?.to_owned())
    });
    (server, url.expect("the server says where it listens"))
}

/// The middle one; 0 of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
