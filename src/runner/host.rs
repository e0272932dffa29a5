//! Servers that the run starts: before the first check, and stopped after the last one, however the run ends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::parts::{Part, chosen};
use super::{Ending, Event, Hosted, Hosting, Run, dial, stopped};

/// Time between two looks at what the servers use.
const LOOK: Duration = Duration::from_millis(500);

impl Run<'_> {
    /// Starts what is to be started, judges, and stops it again.
    pub(super) async fn judge(&mut self, seed: u64, parts: &[Part]) -> Ending {
        if self.config.launches.is_empty() {
            return self.judge_there(seed, parts, None).await;
        }
        let prepared =
            Hosting::new(&self.config.launches, self.config.ready_timeout, |launch| dial::probe(&self.config, launch));
        let hosting = match prepared {
            Ok(hosting) => Arc::new(hosting),
            Err(abort) => return self.cut_short(&chosen(parts), Ending::Aborted(abort)),
        };
        let ending = match self.start_all(&hosting).await {
            Ok(()) => self.judge_hosted(seed, parts, &hosting).await,
            Err(ending) => self.cut_short(&chosen(parts), ending),
        };
        self.wait_for("its end", hosting.stop()).await.into_iter().for_each(|note| (self.emit)(Event::Note(note)));
        self.hosted = hosting.usage().map(|(usage, deaths)| Hosted {
            peak_memory_bytes: usage.peak_memory,
            cpu_ms: u64::try_from(usage.cpu.as_millis()).unwrap_or(u64::MAX),
            deaths,
        });
        ending
    }

    async fn start_all(&mut self, hosting: &Hosting) -> Result<(), Ending> {
        let deadline = self.started + self.config.deadline;
        for host in hosting.hosts() {
            let mut stop = self.stop.clone();
            let up = async {
                tokio::select! {
                    up = host.up() => up.map_err(Ending::Aborted),
                    () = stopped(&mut stop) => Err(Ending::Interrupted),
                    () = tokio::time::sleep_until(deadline) => Err(Ending::Deadline),
                }
            };
            self.wait_for(&format!("the first answer of {}", host.role()), up).await?;
        }
        // The bound is on judging; how fast a server starts is its own affair.
        self.started = Instant::now();
        Ok(())
    }

    async fn judge_hosted(&mut self, seed: u64, parts: &[Part], hosting: &Arc<Hosting>) -> Ending {
        let looked_at = Arc::clone(hosting);
        let looking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                looked_at.measure();
            }
        });
        let ending = self.judge_there(seed, parts, Some(Arc::clone(hosting))).await;
        looking.abort();
        ending
    }

    /// Says what is being waited for.
    async fn wait_for<T>(&mut self, what: &str, work: impl Future<Output = T>) -> T {
        (self.emit)(Event::Waiting(what.to_owned()));
        let done = work.await;
        (self.emit)(Event::Waiting(String::new()));
        done
    }
}
