//! Sending to a server that may ask to wait, or be gone: waits are kept, and a run that gets nowhere is given up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Operation, json_request};
use super::World;
use crate::client::{RawAnswer, RawRequest, Transport, TransportError, clock};
use crate::ground::lock;

/// How often one request is repeated after a 429.
const RATE_LIMIT_TRIES: u32 = 30;
/// The longest single wait that a `Retry-After` may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A request that is still sent away after so many waits, and so long, may be one too many of its kind.
const QUOTA_TRIES: u32 = 3;
const QUOTA_PATIENCE: Duration = Duration::from_millis(2500);
/// So many requests in a row are sent away for long before the run is given up.
const LONG_WAITS: u32 = 20;
/// After so many waits in vain, and none of use, a request that is sent away is sent away.
const WAITS_IN_VAIN: u32 = 3;
/// So many requests in a row are sent away before it is asked whether anybody gets through.
const LIMITED_IN_A_ROW: u32 = 60;
/// One request is sent away so often, with nobody else getting through, before the run is given up; and by a server that may still be
/// starting.
const LIMITED_TRIES: u32 = 10;
const STARTING_TRIES: u32 = 30;
/// Requests in a row without any answer, after which the target counts as gone.
const UNANSWERED_LIMIT: u32 = 10;

/// Whether it may be another answer later: 429, and 503, as proxies answer what is too much at once, whether they say when or not.
fn asks_to_wait(answer: &RawAnswer) -> bool {
    matches!(answer.status.as_u16(), 429 | 503)
}

/// Whether it is a 503 that doesn't say how long it will be one.
pub(in crate::scenarios) fn is_busy_for_who_knows(answer: &RawAnswer) -> bool {
    answer.status == http::StatusCode::SERVICE_UNAVAILABLE && wanted_wait(answer).is_none()
}

/// Method and last segment: enough to tell operations apart.
fn kind_of(request: &RawRequest) -> String {
    let end = request.path.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let end = if request.method == http::Method::GET { "" } else { end };
    format!("{} {end}", request.method)
}

/// How long the server wants to be left alone.
pub(in crate::scenarios) fn wanted_wait(answer: &RawAnswer) -> Option<Duration> {
    let said = |name: &str| answer.headers.get(name)?.to_str().ok();
    let pushed_back = || said("grpc-retry-pushback-ms")?.parse().ok().map(Duration::from_millis);
    said("retry-after").and_then(clock::retry_after).or_else(pushed_back)
}

/// How long to wait, after so many tries, where the server doesn't say.
pub(in crate::scenarios) fn untold_wait(tries: u32) -> Duration {
    Duration::from_millis(100 << tries)
}

impl World {
    /// Sends a request, waits out rate limits, and notices when the target is gone. `limits` gets the 429 that were waited out.
    ///
    /// # Errors
    /// [`TransportError`]; a 429 that can't be waited out is the answer.
    pub async fn send(
        &self,
        transport: &Transport,
        request: &RawRequest,
        bound: Duration,
        limits: &mut Vec<RawAnswer>,
    ) -> Result<RawAnswer, TransportError> {
        let (mut tries, started) = (0, Instant::now());
        loop {
            self.wait_for_turn().await;
            let result = transport.send_within(request, bound).await;
            match &result {
                Ok(answer) => {
                    self.course.unanswered.store(0, Ordering::Relaxed);
                    self.note_wait(request, answer, tries);
                    if !asks_to_wait(answer) {
                        self.course.limited.store(0, Ordering::Relaxed);
                    } else if tries == 0 && wanted_wait(answer).is_none() && self.is_of_no_use(request) {
                        // A quota, as waiting has shown.
                    } else if self.course.limited.load(Ordering::Relaxed) + 1 >= LIMITED_IN_A_ROW
                        && self.others_get_through().await
                    {
                        // So many met a quota, one after the other; the server has time for others.
                        self.course.limited.store(0, Ordering::Relaxed);
                    } else if tries < RATE_LIMIT_TRIES
                        && !(tries >= QUOTA_TRIES
                            && started.elapsed() > QUOTA_PATIENCE
                            && self.others_get_through().await)
                        && let Some(again) = self.back_off(answer, tries)
                    {
                        tokio::time::sleep_until(again).await;
                        tries += 1;
                        limits.extend(result);
                        continue;
                    }
                }
                Err(error) => self.note_silence(request, error),
            }
            return result;
        }
    }

    /// What came of waiting without being told how long.
    fn note_wait(&self, request: &RawRequest, answer: &RawAnswer, tries: u32) {
        let waiting = asks_to_wait(answer);
        if tries == 0 || (waiting && tries < QUOTA_TRIES) || (waiting && wanted_wait(answer).is_some()) {
            return;
        }
        let mut waits = lock(&self.course.waits);
        let (in_vain, of_use) = waits.entry(kind_of(request)).or_default();
        if waiting {
            *in_vain += 1;
        } else {
            *of_use += 1;
        }
    }

    /// Whether waiting hasn't ever helped a request of this kind. Where each further one waited all the same, and everybody with it, a
    /// run against a server with a small quota would take minutes.
    fn is_of_no_use(&self, request: &RawRequest) -> bool {
        let waits = lock(&self.course.waits);
        waits.get(&kind_of(request)).is_some_and(|(in_vain, of_use)| *in_vain >= WAITS_IN_VAIN && *of_use == 0)
    }

    /// Notices when the target is gone, after requests that were sent together: all of them count for one.
    pub fn note_together(&self, request: &RawRequest, results: &[&Result<RawAnswer, TransportError>]) {
        if results.iter().any(|result| result.is_ok()) {
            self.course.unanswered.store(0, Ordering::Relaxed);
        } else if let Some(Err(error)) =
            results.iter().find(|result| matches!(result, Err(error) if error.is_unreachable()))
        {
            self.note_silence(request, error);
        }
    }

    /// Whether a stranger gets a nonce: then it is not the server that has no time, but this request that is one too many.
    async fn others_get_through(&self) -> bool {
        let key = crate::client::Identity::generate().id;
        let body = serde_json::json!({ "ed25519PublicKey": key });
        let request = json_request(Operation::Challenge.path("", ""), &body);
        let idp = self.idp();
        idp.send_within(&request, idp.timeout()).await.is_ok_and(|answer| !asks_to_wait(&answer))
    }

    fn note_silence(&self, request: &RawRequest, error: &TransportError) {
        if self.course.expects_silence.load(Ordering::Relaxed) {
            return;
        }
        let before = self.course.unanswered.fetch_add(1, Ordering::Relaxed);
        let mut first = lock(&self.course.first_unanswered);
        if before == 0 {
            let token = request.headers.iter().any(|(name, _)| name == http::header::AUTHORIZATION);
            let with = if token { "with" } else { "without" };
            *first = format!("{} {} ({with} Authorization): {error}", request.method, request.path);
        }
        if before + 1 >= UNANSWERED_LIMIT && self.target.hosting.is_some() {
            // It is looked after when the check that waits for it has ended.
            self.course.suspect.store(true, Ordering::Relaxed);
        } else if before + 1 >= UNANSWERED_LIMIT {
            self.give_up(
                format!("the target stopped answering; the first of {UNANSWERED_LIMIT} requests without an answer was {first}"),
                "look at the server's log; it may have crashed or locked up. Run with --jobs 1 --trace to see the last request it took",
            );
        }
    }

    async fn wait_for_turn(&self) {
        let until = *lock(&self.course.not_before);
        if let Some(until) = until
            && until > Instant::now()
        {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Notes a 429 or 503, and says when to try again; `None` when there is no point in that. Where one comes after another and nothing
    /// gets through in between, all requests wait; a single one may mean one key, or one request in many.
    fn back_off(&self, answer: &RawAnswer, tries: u32) -> Option<Instant> {
        let status = answer.status.as_u16();
        let wait = match wanted_wait(answer) {
            Some(wait) if wait > LONGEST_WAIT => {
                // A quota of one key, unless nobody else gets through either.
                if self.course.limited.fetch_add(1, Ordering::Relaxed) >= LONG_WAITS {
                    self.give_up(
                        format!("the target answers with {status}, and asks to wait {} s", wait.as_secs()),
                        "lift the rate limit for the address that runs the suite, or try later",
                    );
                }
                return None;
            }
            Some(wait) => wait,
            // Without Retry-After it may be a quota, which waiting doesn't change.
            None if tries >= 3 => return None,
            None => untold_wait(tries),
        };
        // Many in a row from everybody, or one request again and again with nobody else getting through.
        let in_a_row = self.course.limited.fetch_add(1, Ordering::Relaxed);
        let patience = if status == 503 { STARTING_TRIES } else { LIMITED_TRIES };
        if in_a_row >= LIMITED_IN_A_ROW || (tries >= patience && in_a_row >= patience) {
            self.give_up(
                format!("the target answers every request with {status}, also after the wait it asks for"),
                if status == 503 {
                    "look whether the server is up: it says that it is not yet, or no longer"
                } else {
                    "lift the rate limit for the address that runs the suite, or lower --jobs"
                },
            );
            return None;
        }
        let until = Instant::now() + wait;
        if in_a_row > 0 {
            let mut not_before = lock(&self.course.not_before);
            *not_before = Some(not_before.map_or(until, |old| old.max(until)));
        }
        Some(until)
    }
}
