//! What kills a server that the suite has started doesn't end the run: it is started again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::scenarios::{Hosting, World};

/// Between the end of a connection and the end of its process some time may pass.
const DYING: Duration = Duration::from_millis(30);

/// Counts the starts after a death.
pub(super) fn generation(world: &World) -> u32 {
    world.target.hosting.as_ref().map_or(0, |hosting| hosting.generation())
}

/// Starts servers again that have died, or don't answer any more; how one has died, if it has. `quiet` is whether there is
/// reason to believe that. A server that doesn't come back ends the run.
pub(super) async fn look_after(world: &World, hosting: &Hosting, quiet: bool) -> Option<String> {
    if quiet {
        tokio::time::sleep(DYING).await;
    }
    let mut death = hosting.death().await;
    if death.is_none() && world.course.suspect.load(Ordering::Relaxed) {
        death = hosting.condemn().await;
    }
    match hosting.revive().await {
        Ok(false) => {
            // Somebody else may have been quicker.
            world.course.suspect.store(false, Ordering::Relaxed);
            None
        }
        Ok(true) => {
            world.forget();
            Some(death.unwrap_or_else(|| "a server died".into()))
        }
        Err(abort) => {
            world.give_up(abort.reason, &abort.advice);
            death
        }
    }
}
