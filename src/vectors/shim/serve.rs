//! Our own codec as a shim: the protocol's reference, and what benchmarks and tests of drivers run against.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use super::super::evaluate::evaluate;
use super::super::fields::fields;
use super::super::op::{CodecAnswer, Request};

/// Answers every line until the input ends. Answers are flushed when no further question is waiting.
///
/// # Errors
/// What reading or writing fails on.
pub fn serve(input: impl Read, output: impl Write) -> std::io::Result<()> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let mut output = BufWriter::with_capacity(1 << 16, output);
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return output.flush();
        }
        let answer = answer(String::from_utf8_lossy(&line).trim_end());
        output.write_all(answer.as_bytes())?;
        output.write_all(b"\n")?;
        if !input.buffer().contains(&b'\n') {
            output.flush()?;
        }
    }
}

fn answer(line: &str) -> String {
    match Request::of_line(line) {
        Ok((id, request)) => match evaluate(&request) {
            Ok(answer) => answer.to_line(id),
            Err(error) => CodecAnswer::Error(error.to_string()).to_line(id),
        },
        Err((Some(id), error)) => CodecAnswer::Unsupported(error.to_string()).to_line(id),
        Err((None, error)) => {
            serde_json::Value::Object(fields! { "id": serde_json::Value::Null, "error": error.to_string() }).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_line_by_line() {
        let questions = "{\"id\":1,\"op\":\"encode-base64\",\"hex\":\"ff\"}\n{\"id\":2,\"op\":\"decode-base64\",\"base64\":\"/w\"}\n\
            {\"id\":3,\"op\":\"fly\"}\n{\"id\":4,\"op\":\"aad\"}\nhello\n";
        let mut out = Vec::new();
        serve(questions.as_bytes(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[0], r#"{"id":1,"result":{"base64":"/w=="}}"#);
        assert!(lines[1].starts_with(r#"{"id":2,"reject":"#));
        assert!(lines[2].starts_with(r#"{"id":3,"unsupported":"#));
        assert!(lines[3].starts_with(r#"{"error":"#) && lines[3].contains("repoId"));
        assert!(lines[4].contains("null"));
    }
}
