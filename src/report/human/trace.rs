//! Exchanges as they take place, for `--trace`.

use super::super::explain::{answer_line, request_line};
use super::super::style::{CYAN, DIM, paint};
use super::super::text::clean;
use crate::client::{Exchange, RecordedBody};

/// The lines of an exchange: request, body, answer, body. Bodies as far as the record has them.
pub(super) fn lines(check: &str, exchange: &Exchange) -> Vec<String> {
    let mut lines = vec![format!("{} {} {}", paint(CYAN, ">>"), request_line(exchange), paint(DIM, check))];
    lines.extend(body(&exchange.request));
    lines.push(format!("{} {} {}", paint(CYAN, "<<"), answer_line(exchange), paint(DIM, check)));
    lines.extend(body(&exchange.response));
    lines
}

fn body(body: &RecordedBody) -> Option<String> {
    let cut = if body.is_cut() { format!("… ({} bytes)", body.length) } else { String::new() };
    (body.length > 0).then(|| format!("   {}{cut}", clean(&body.text)))
}

#[cfg(test)]
mod tests {
    use super::super::super::samples;
    use super::super::super::style::strip;
    use super::super::super::text::is_unsafe;
    use super::*;

    #[test]
    fn both_ways_and_harmless() {
        let text = lines("push/x", &samples::exchange(Some(409), "{\"error\":1}")).join("\n");
        let text = strip(&text);
        assert!(
            text.starts_with(">> POST /v1/repos/9f3c2a70/push · Authorization: Bearer eyJhbGci… push/x\n"),
            "{text}"
        );
        assert!(text.ends_with("<< 409 application/json · 11 bytes · 1.2 ms push/x\n   {\"error\":1}"), "{text}");
        let run = samples::hostile();
        let exchange = run.results.iter().find_map(|result| result.exchanges.first()).unwrap();
        assert!(!strip(&lines("x", exchange).concat()).chars().any(is_unsafe));
    }
}
