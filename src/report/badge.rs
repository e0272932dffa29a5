//! The verdict as a badge: the JSON that the `endpoint` badge of shields.io reads.

use serde::Serialize;

use super::run::Run;
use crate::ground::shown::count;
use crate::runner::Verdict;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Badge {
    schema_version: u8,
    label: String,
    message: String,
    color: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
}

/// The badge.
pub(super) fn render(run: &Run) -> String {
    let failed = run.unknown(crate::runner::Status::Fail).len();
    let (message, color) = match run.end.verdict {
        Verdict::Conformant | Verdict::NotConformantAsKnown | Verdict::Incomplete if !run.end.stale.is_empty() => {
            ("file of known failures is out of date".to_owned(), "red")
        }
        Verdict::Conformant => ("conformant".to_owned(), "brightgreen"),
        Verdict::NotConformant => (format!("not conformant, {failed} failed"), "red"),
        Verdict::NotConformantAsKnown => {
            (format!("not conformant, {}", count(run.known().len(), "known failure")), "orange")
        }
        Verdict::Incomplete => ("incomplete".to_owned(), "yellow"),
        Verdict::NotJudged => ("not judged".to_owned(), "lightgrey"),
    };
    let is_error = color == "red";
    let badge = Badge { schema_version: 1, label: format!("AVP {}", run.info.spec), message, color, is_error };
    let text = serde_json::to_string_pretty(&badge).expect("a few strings and a number always serialize");
    text + "\n"
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::samples;
    use super::*;

    #[test]
    fn every_verdict_has_a_badge() {
        let badge = |run: &Run| serde_json::from_str::<Value>(&render(run)).unwrap();
        let failed = json!({
            "schemaVersion": 1, "label": "AVP 0.2", "message": "not conformant, 2 failed", "color": "red", "isError": true
        });
        assert_eq!(badge(&samples::mixed()), failed);
        assert_eq!(badge(&samples::conformant())["message"], "conformant");
        assert_eq!(badge(&samples::incomplete())["color"], "yellow");
        assert_eq!(badge(&samples::not_judged())["message"], "not judged");
        // Whatever a server says, nothing of it is in a badge.
        assert!(!render(&samples::hostile()).contains("script"));
    }
}
