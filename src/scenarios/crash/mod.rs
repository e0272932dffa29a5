//! What a crash leaves (hardening): the server is killed at random moments while clients write, started again, and looked at.
//!
//! All checks here judge the same crashes. Writers have a repository each and write one thing after the other, so that what must
//! be there is known but for the write that the crash met: that one is there as a whole or not at all.

mod evidence;
mod rounds;
mod writer;

pub use self::evidence::Crashes;
use self::evidence::{Broken, Evidence, Missing};
use super::check::checks;
use super::{Ctx, Outcome, Stop};

checks! {
    "crash/acknowledged-writes-are-there", Hardening, "§10", [CRASH_KEEPS], acknowledged,
        "What was acknowledged before a crash is there after it", phase = Crash, needs = Command;
    "crash/writes-are-whole", Hardening, "§10", [CRASH_WHOLE], whole,
        "A write that a crash met is there as a whole or not at all", phase = Crash, needs = Command;
    "crash/versions-never-go-down", Hardening, "§10", [CRASH_KEEPS], versions,
        "Versions and epochs that were seen before a crash don't go down in it", phase = Crash, needs = Command;
    "crash/used-nonces-stay-used", Hardening, "§10", [CRASH_KEEPS], nonces,
        "A nonce that has bought a token buys none after a crash", phase = Crash, needs = Command;
    "crash/removed-members-stay-out", Hardening, "§10", [CRASH_KEEPS], members,
        "Who was removed before a crash is no member after it", phase = Crash, needs = Command;
    "crash/history-is-linearizable", Hardening, "§10", [CRASH_KEEPS, CRASH_WHOLE], history,
        "Everything that clients did before and after a crash has an order that explains every answer", phase = Crash, needs = Command;
}

async fn judge(cx: &Ctx, broken: Broken) -> Outcome {
    let evidence = cx.world.seen.crashes.get_or_init(|| rounds::all(cx)).await.clone();
    let evidence = evidence.map_err(|missing| match missing {
        Missing::NotApplicable(reason) => Stop::not_applicable(reason),
        Missing::NotJudged(reason) => Stop::not_judged(reason),
        Missing::SetupFailed(finding) => Stop::SetupFailed(finding),
    })?;
    if let Some((_, finding)) = evidence.found.iter().find(|(what, _)| *what == broken) {
        return Err(Stop::Violation(Box::new(finding.clone())));
    }
    let Evidence { rounds, acknowledged, met, nonces, .. } = &*evidence;
    cx.remark(match broken {
        Broken::Nonces => format!("{rounds} crashes; {nonces} nonces tried again"),
        _ => format!("{rounds} crashes; {acknowledged} writes acknowledged before them, {met} met by them"),
    });
    Ok(())
}

async fn acknowledged(cx: &Ctx) -> Outcome {
    judge(cx, Broken::Acknowledged).await
}

async fn whole(cx: &Ctx) -> Outcome {
    judge(cx, Broken::Whole).await
}

async fn versions(cx: &Ctx) -> Outcome {
    judge(cx, Broken::Versions).await
}

async fn nonces(cx: &Ctx) -> Outcome {
    judge(cx, Broken::Nonces).await
}

async fn members(cx: &Ctx) -> Outcome {
    judge(cx, Broken::Members).await
}

async fn history(cx: &Ctx) -> Outcome {
    judge(cx, Broken::History).await
}
