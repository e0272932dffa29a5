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
