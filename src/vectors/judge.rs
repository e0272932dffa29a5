//! Does an answer meet an expectation?

use serde_json::Value;

use super::case::{CaseStep, Expect};
use super::evaluate::evaluate;
use super::fields::{Fields, fields, object, string};
use super::op::{CodecAnswer, CodecOp, Request};
use crate::codec::base64;

/// Judgement on one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerJudgement {
    /// As it has to be.
    Right,
    /// Allowed, but not what a careful author does.
    Allowed {
        /// What a careful author does.
        expected: String,
        /// What came.
        observed: String,
    },
    /// Not as it has to be.
    Wrong {
        /// What had to come.
        expected: String,
        /// What came.
        observed: String,
    },
    /// The codec doesn't have the operation.
    Unsupported(String),
    /// The codec says that something went wrong which tells nothing about the input.
    Trouble(String),
}

/// Judges an answer to a step.
pub fn judge(step: &CaseStep, answer: &CodecAnswer) -> AnswerJudgement {
    match (answer, &step.expect) {
        (CodecAnswer::Unsupported(text), _) => AnswerJudgement::Unsupported(text.clone()),
        (CodecAnswer::Error(text), _) => AnswerJudgement::Trouble(text.clone()),
        (CodecAnswer::Reject(_), Expect::Reject | Expect::Either { .. }) => AnswerJudgement::Right,
        (CodecAnswer::Reject(reason), Expect::Result(expected)) => AnswerJudgement::Wrong {
            expected: describe(expected),
            observed: if reason.is_empty() { "refused".into() } else { format!("refused: {reason}") },
        },
        (CodecAnswer::Result(actual), Expect::Reject) => {
            AnswerJudgement::Wrong { expected: "a refusal".into(), observed: accepted(actual) }
        }
        (CodecAnswer::Result(actual), Expect::Either { accepted: expected, warn }) => {
            match compare(step, expected, actual) {
                AnswerJudgement::Right if *warn => AnswerJudgement::Allowed {
                    expected: format!("{}: a refusal, though nothing demands it", step.what),
                    observed: accepted(actual),
                },
                judgement => judgement,
            }
        }
        (CodecAnswer::Result(actual), Expect::Result(expected)) => compare(step, expected, actual),
    }
}

/// Whether our codec gives what a step expects.
pub(super) fn holds(step: &CaseStep) -> bool {
    evaluate(&step.request).is_ok_and(|answer| judge(step, &answer) == AnswerJudgement::Right)
}

fn compare(step: &CaseStep, expected: &Fields, actual: &Fields) -> AnswerJudgement {
    if contains(&Value::Object(actual.clone()), &Value::Object(expected.clone())) {
        return AnswerJudgement::Right;
    }
    let own_choice = match step.request.op {
        CodecOp::Encrypt => opens(step, actual),
        CodecOp::Wrap => unwraps(step, actual),
        CodecOp::EncodeInvite | CodecOp::EncodeLocator => same_token(expected, actual),
        _ => None,
    };
    own_choice.unwrap_or_else(|| different(expected, actual))
}

/// Whether `actual` has everything that `expected` has. Further members don't matter, and null is as good as absent.
pub(super) fn contains(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| contains(actual.get(name).unwrap_or(&Value::Null), value))
        }
        (Value::Array(actual), Value::Array(expected)) => {
            actual.len() == expected.len() && actual.iter().zip(expected).all(|(a, e)| contains(a, e))
        }
        _ => actual == expected,
    }
}

/// A ciphertext under an IV of the codec's own choice is judged by decrypting it.
fn opens(step: &CaseStep, actual: &Fields) -> Option<AnswerJudgement> {
    let asked = &step.request.fields;
    let (iv, ciphertext) = (string(actual, "ivB64").ok()?, string(actual, "ciphertextB64").ok()?);
    if Some(iv) == string(asked, "ivB64").ok() {
        return None;
    }
    let mut request = Request::new(CodecOp::Decrypt, asked.clone());
    let wanted = request.fields.remove("plaintextUtf8")?;
    request.fields.insert("ivB64".into(), iv.into());
    request.fields.insert("ciphertextB64".into(), ciphertext.into());
    Some(opened(&request, &Value::Object(fields! { "plaintextUtf8": wanted }), "decrypt"))
}

/// A wrap with an ephemeral key or IV of the codec's own choice is judged by unwrapping it.
fn unwraps(step: &CaseStep, actual: &Fields) -> Option<AnswerJudgement> {
    let private = step.recipient_private.as_ref()?;
    let Expect::Result(expected) = &step.expect else { return None };
    let (wanted, made) = (object(expected, "wrappedKey").ok()?, object(actual, "wrappedKey").ok()?);
    let chosen = |name: &str| made.get(name) != wanted.get(name);
    if !chosen("iv") && !chosen("ephemeralPublicKey") {
        return None;
    }
    let request = Request::new(
        CodecOp::Unwrap,
        fields! { "recipientPrivateKeyB64": private.as_str(), "wrappedKey": made.clone() },
    );
    let data_key = step.request.fields.get("dataKeyB64")?.clone();
    Some(opened(&request, &Value::Object(fields! { "dataKeyB64": data_key }), "unwrap"))
}

fn opened(request: &Request, wanted: &Value, verb: &str) -> AnswerJudgement {
    let expected = format!("something that our codec can {verb}");
    match evaluate(request) {
        Ok(CodecAnswer::Result(found)) if contains(&Value::Object(found.clone()), wanted) => AnswerJudgement::Right,
        Ok(CodecAnswer::Result(found)) => {
            AnswerJudgement::Wrong { expected, observed: format!("it gives {} instead", describe(&found)) }
        }
        Ok(CodecAnswer::Reject(reason)) => {
            AnswerJudgement::Wrong { expected, observed: format!("{}: {reason}", describe(&request.fields)) }
        }
        Ok(_) => AnswerJudgement::Trouble(format!("our codec can't {verb}")),
        Err(error) => AnswerJudgement::Wrong { expected, observed: error.to_string() },
    }
}

/// A token whose JSON has the right members in another order, or characters escaped that needn't be, is odd but not wrong:
/// all that is fixed is that it is compact.
fn same_token(expected: &Fields, actual: &Fields) -> Option<AnswerJudgement> {
    let (expected, actual) = (string(expected, "token").ok()?, string(actual, "token").ok()?);
    let json = |token: &str| String::from_utf8(base64::decode_url(token).ok()?).ok();
    let (wanted, made) = (json(expected)?, json(actual)?);
    let value = |json: &str| serde_json::from_str::<Value>(json).ok();
    (is_compact(&made) && value(&made)? == value(&wanted)?).then(|| AnswerJudgement::Allowed {
        expected: "the token's members in the specification's order".into(),
        observed: "another spelling of the same JSON".into(),
    })
}

/// Whether JSON has no blanks outside its strings.
fn is_compact(json: &str) -> bool {
    let (mut inside, mut escaped) = (false, false);
    json.chars().all(|c| {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
        inside || !c.is_whitespace()
    })
}

/// Names the members that differ, with both values.
fn different(expected: &Fields, actual: &Fields) -> AnswerJudgement {
    let differs = |name: &String, value: &Value| !contains(actual.get(name).unwrap_or(&Value::Null), value);
    let pick = |from: &Fields| -> Fields {
        let names = expected.iter().filter(|(name, value)| differs(name, value)).map(|(name, _)| name);
        names.map(|name| (name.clone(), from.get(name).cloned().unwrap_or_default())).collect()
    };
    let (wanted, found) = (describe(&pick(expected)), describe(&pick(actual)));
    AnswerJudgement::Wrong { expected: wanted, observed: found }
}

fn accepted(fields: &Fields) -> String {
    if fields.is_empty() { "accepted".into() } else { format!("accepted: {}", describe(fields)) }
}

/// Members on one line, long values shortened in the middle.
pub(crate) fn describe(fields: &Fields) -> String {
    if fields.is_empty() {
        return "acceptance".into();
    }
    let parts = fields.iter().map(|(name, value)| format!("{name} = {}", shorten(&value.to_string(), 200)));
    parts.collect::<Vec<_>>().join(", ")
}

/// The beginning and the end of a long text, and how long it is.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let characters = text.chars().count();
    if characters <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most * 3 / 4).collect();
    let tail: String = text.chars().skip(characters - most / 5).collect();
    format!("{head} … {tail} ({characters} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(expect: Expect) -> CaseStep {
        let request = Request::new(CodecOp::Aad, fields! { "repoId": "r" });
        CaseStep { what: "it".into(), request, expect, recipient_private: None }
    }

    #[test]
    fn results_and_refusals() {
        let expected = fields! { "a": 1, "b": Value::Null };
        let gives = step(Expect::Result(expected.clone()));
        assert_eq!(judge(&gives, &CodecAnswer::Result(fields! { "a": 1, "z": 2 })), AnswerJudgement::Right);
        let wrong = judge(&gives, &CodecAnswer::Result(fields! { "a": 2 }));
        assert_eq!(wrong, AnswerJudgement::Wrong { expected: "a = 1".into(), observed: "a = 2".into() });
        assert!(matches!(judge(&gives, &CodecAnswer::Reject("x".into())), AnswerJudgement::Wrong { .. }));
        assert_eq!(judge(&step(Expect::Reject), &CodecAnswer::Reject(String::new())), AnswerJudgement::Right);
        assert!(matches!(
            judge(&step(Expect::Reject), &CodecAnswer::Result(Fields::new())),
            AnswerJudgement::Wrong { .. }
        ));
        let open = step(Expect::Either { accepted: expected, warn: true });
        assert!(matches!(judge(&open, &CodecAnswer::Result(fields! { "a": 1 })), AnswerJudgement::Allowed { .. }));
        assert!(matches!(judge(&open, &CodecAnswer::Result(fields! { "a": 2 })), AnswerJudgement::Wrong { .. }));
        assert_eq!(judge(&open, &CodecAnswer::Reject(String::new())), AnswerJudgement::Right);
    }

    #[test]
    fn an_iv_of_ones_own_is_judged_by_decrypting() {
        let asked = fields! { "keyB64": base64::encode(&[1; 32]), "ivB64": base64::encode(&[2; 12]), "repoId": "r",
        "payloadVersion": 1, "keyEpoch": 0, "plaintextUtf8": "hello" };
        let ask = |iv: [u8; 12], text: &str| {
            let mut fields = asked.clone();
            fields.insert("ivB64".into(), base64::encode(&iv).into());
            fields.insert("plaintextUtf8".into(), text.into());
            match evaluate(&Request::new(CodecOp::Encrypt, fields)).unwrap() {
                CodecAnswer::Result(fields) => fields,
                other => panic!("{other:?}"),
            }
        };
        let step = CaseStep::gives("encrypt", CodecOp::Encrypt, asked.clone(), ask([2; 12], "hello"));
        assert_eq!(judge(&step, &CodecAnswer::Result(ask([9; 12], "hello"))), AnswerJudgement::Right);
        assert!(matches!(judge(&step, &CodecAnswer::Result(ask([9; 12], "other"))), AnswerJudgement::Wrong { .. }));
        assert!(matches!(judge(&step, &CodecAnswer::Result(ask([2; 12], "other"))), AnswerJudgement::Wrong { .. }));
    }

    #[test]
    fn a_token_in_another_order_is_odd() {
        let token = |json: &str| fields! { "token": base64::encode_url(json.as_bytes()) };
        let expected = token(r#"{"v":1,"host":"h"}"#);
        let step = CaseStep::gives("encode", CodecOp::EncodeLocator, Fields::new(), expected);
        assert!(matches!(
            judge(&step, &CodecAnswer::Result(token(r#"{"host":"h","v":1}"#))),
            AnswerJudgement::Allowed { .. }
        ));
        assert!(matches!(
            judge(&step, &CodecAnswer::Result(token(r#"{"host":"h", "v":1}"#))),
            AnswerJudgement::Wrong { .. }
        ));
    }

    #[test]
    fn long_values_are_shortened() {
        assert_eq!(shorten("abc", 3), "abc");
        assert!(shorten(&"x".repeat(999), 40).ends_with("(999 characters)"));
    }
}
