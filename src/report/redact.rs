//! Keeps the credentials of a deployment out of every report.
//!
//! The values of `--header` are nobody's business but the server's. A server that echoes them (an error page that lists
//! the request's headers, say) would put them into exchanges and messages, so events pass through here first. Bearer
//! tokens that a server issues are shortened too: they belong to identities that nobody uses again, but a report is read by
//! many.

use std::sync::Arc;

use crate::client::{Exchange, Mask, RecordedBody, RecordedCall};
use crate::ground::shown;
use crate::runner::{CheckResult, Event, Finding, Header, RunEnd};

/// Replaces secrets in events.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    mask: Mask,
}

impl Redactor {
    /// Takes the values of headers as secrets.
    pub fn new<'a>(headers: impl IntoIterator<Item = &'a Header>) -> Self {
        Self { mask: Mask::new(headers) }
    }

    /// The event without secrets.
    pub fn event(&self, event: Event) -> Event {
        match event {
            Event::Note(text) => Event::Note(self.text(&text)),
            // A pass has nothing to show, and there are many of them.
            Event::CheckFinished(result)
                if self.mask.is_empty() && result.exchanges.is_empty() && result.findings.is_empty() =>
            {
                Event::CheckFinished(result)
            }
            Event::CheckFinished(result) => Event::CheckFinished(Arc::new(self.result(&result))),
            Event::Exchange(check, exchange) => Event::Exchange(check, Arc::new(self.exchange(&exchange))),
            Event::RunFinished(end) => Event::RunFinished(Arc::new(RunEnd {
                reason: self.text(&end.reason),
                advice: self.text(&end.advice),
                ..RunEnd::clone(&end)
            })),
            event @ (Event::RunStarted(_) | Event::Waiting(_) | Event::CheckStarted(_)) => event,
        }
    }

    /// The text without secrets.
    pub fn text(&self, text: &str) -> String {
        shown::without_tokens(self.mask.text(text.to_owned()))
    }

    /// Exchanges that are one stay one.
    fn result(&self, result: &CheckResult) -> CheckResult {
        let mut known: Vec<(Arc<Exchange>, Arc<Exchange>)> = Vec::new();
        let mut masked = |exchange: &Arc<Exchange>| {
            if let Some((_, masked)) = known.iter().find(|(original, _)| Arc::ptr_eq(original, exchange)) {
                return Arc::clone(masked);
            }
            let masked = Arc::new(self.exchange(exchange));
            known.push((Arc::clone(exchange), Arc::clone(&masked)));
            masked
        };
        CheckResult {
            check: result.check,
            status: result.status,
            omission: result.omission,
            message: self.text(&result.message),
            exchanges: result.exchanges.iter().map(&mut masked).collect(),
            findings: result
                .findings
                .iter()
                .map(|finding| Finding {
                    expected: self.text(&finding.expected),
                    observed: self.text(&finding.observed),
                    exchange: finding.exchange.as_ref().map(&mut masked),
                    evidence: finding.evidence.iter().map(&mut masked).collect(),
                })
                .collect(),
            duration: result.duration,
        }
    }

    fn exchange(&self, exchange: &Exchange) -> Exchange {
        let optional = |text: &Option<String>| text.as_deref().map(|text| self.text(text));
        Exchange {
            path: self.text(&exchange.path),
            grpc: exchange.grpc.as_ref().map(|call| RecordedCall {
                message: optional(&call.message),
                metadata: call.metadata.iter().map(|line| self.text(line)).collect(),
                ..call.clone()
            }),
            authorization: optional(&exchange.authorization),
            request: self.body(&exchange.request),
            content_type: optional(&exchange.content_type),
            response: self.body(&exchange.response),
            error: optional(&exchange.error),
            ..exchange.clone()
        }
    }

    fn body(&self, body: &RecordedBody) -> RecordedBody {
        RecordedBody { text: self.text(&body.text).into(), length: body.length }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    fn header(value: &str) -> Header {
        Header { name: http::HeaderName::from_static("x-key"), value: value.parse().unwrap() }
    }

    #[test]
    fn secrets_stay_secret_everywhere() {
        let redactor = Redactor::new(&[header("Basic c2VjcmV0OnB3"), header("q\"uote")]);
        assert_eq!(redactor.text(r#"c2VjcmV0OnB3 Basic c2VjcmV0OnB3 q\"uote q"uote"#), "*** *** *** ***");
        assert!(!format!("{redactor:?}").contains("c2Vj"));

        let run = samples::mixed();
        let result = run.results.iter().find(|result| result.check.id == "push/stale-is-conflict").unwrap();
        let redactor = Redactor::new(&[header("conflict")]);
        let Event::CheckFinished(masked) = redactor.event(Event::CheckFinished(Arc::clone(result))) else { panic!() };
        assert!(!format!("{:?}", masked.findings).contains("conflict"), "{masked:?}");
        let of_finding = masked.findings[0].exchange.as_ref().unwrap();
        assert!(masked.exchanges.iter().any(|exchange| Arc::ptr_eq(exchange, of_finding)));
    }

    #[test]
    fn short_values_mask_nothing() {
        assert_eq!(Redactor::new(&[header("1")]).text("1 of 10"), "1 of 10");
    }
}
