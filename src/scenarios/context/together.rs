//! Requests that become whole at the same moment, at one place or spread over several.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::time::Instant;

use super::super::{Answer, Call};
use super::Ctx;
use crate::client::{Exchange, RawAnswer, RawRequest, Together, Transport, TransportError};

/// What came of a request, when it was let go, and when it ended.
type Sent = (Result<RawAnswer, TransportError>, (Instant, Instant));

impl Ctx {
    /// Sends requests so that they become whole at the same moment; results in their order.
    pub async fn send_together(&self, calls: &[Call<'_>]) -> Vec<(Arc<Exchange>, Result<Answer<'_>, TransportError>)> {
        self.send_together_after(calls, std::future::ready(())).await.1
    }

    /// As [`Self::send_together`], but something else happens between lining them up and making them whole.
    pub async fn send_together_after<T>(
        &self,
        calls: &[Call<'_>],
        first: impl Future<Output = T>,
    ) -> (T, Vec<(Arc<Exchange>, Result<Answer<'_>, TransportError>)>) {
        let prepared: Vec<_> = calls.iter().map(|call| (self.transport_of(call).clone(), self.prepare(call))).collect();
        let requests: Vec<_> = prepared.iter().map(|(to, prepared)| (to, prepared.request.clone())).collect();
        let (first, sent) = send_each_together(&self.world.target.vault, requests, first).await;
        if let Some((_, first)) = prepared.first() {
            self.world.note_together(&first.request, &sent.iter().map(|(result, _)| result).collect::<Vec<_>>());
        }
        let mut concluded = Vec::with_capacity(calls.len());
        for ((call, (_, prepared)), (result, times)) in calls.iter().zip(&prepared).zip(sent) {
            let (exchange, result) = self.conclude(call, prepared, result, times);
            concluded.push((exchange, self.confirm_limit(result).await));
        }
        (first, concluded)
    }
}

/// Lines requests up at each origin, does something, and lets all of them go.
async fn send_each_together<T>(
    usual: &Arc<Transport>,
    requests: Vec<(&Arc<Transport>, RawRequest)>,
    first: impl Future<Output = T>,
) -> (T, Vec<Sent>) {
    let mut groups: Vec<(&Arc<Transport>, Vec<usize>, Vec<RawRequest>)> = Vec::new();
    let count = requests.len();
    for (position, (to, request)) in requests.into_iter().enumerate() {
        match groups.iter_mut().find(|(known, ..)| Arc::ptr_eq(known, to)) {
            Some((_, positions, of_group)) => {
                positions.push(position);
                of_group.push(request);
            }
            None => groups.push((to, vec![position], vec![request])),
        }
    }
    let alone = groups.len() < 2;
    if alone {
        let (to, _, requests) = groups.pop().unwrap_or((usual, Vec::new(), Vec::new()));
        let (first, Together { opened, results }) = to.send_together_after(requests, to.timeout(), first).await;
        return (first, results.into_iter().map(|(result, ended)| (result, (opened, ended))).collect());
    }
    // All are lined up at the first barrier, and let go at the second.
    let (lined_up, go) = (&Barrier::new(groups.len() + 1), &Barrier::new(groups.len() + 1));
    let groups_sent = groups.into_iter().map(|(to, positions, requests)| async move {
        let meanwhile = async {
            lined_up.wait().await;
            go.wait().await;
        };
        (positions, to.send_together_after(requests, to.timeout(), meanwhile).await.1)
    });
    let leader = async {
        lined_up.wait().await;
        let first = first.await;
        go.wait().await;
        first
    };
    let (first, groups_sent) = futures_util::future::join(leader, futures_util::future::join_all(groups_sent)).await;
    let mut sent: Vec<Option<Sent>> = (0..count).map(|_| None).collect();
    for (positions, Together { opened, results }) in groups_sent {
        for (position, (result, ended)) in positions.into_iter().zip(results) {
            sent[position] = Some((result, (opened, ended)));
        }
    }
    (first, sent.into_iter().flatten().collect())
}
