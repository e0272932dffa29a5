//! What is different between two sentences, word by word.

use super::escape::esc;

/// Words of a sentence that is compared.
const WORDS: usize = 160;

/// The second text, with what the first one hasn't got marked. Where the two have little in common nothing is marked: then all of
/// it is different, and marks would only be noise.
pub(super) fn marked(expected: &str, observed: &str) -> String {
    let (one, other) = (words(expected), words(observed));
    if one.len() > WORDS || other.len() > WORDS {
        return esc(observed);
    }
    let common = common(&one, &other);
    let kept = common.iter().filter(|kept| **kept).count();
    if kept * 2 < other.len() || kept == other.len() {
        return esc(observed);
    }
    let mut out = String::new();
    let mut open = false;
    for (index, word) in other.iter().enumerate() {
        if index > 0 {
            // The blank before a mark stands outside of it.
            if open && common[index] {
                out.push_str("</mark>");
                open = false;
            }
            out.push(' ');
        }
        if !open && !common[index] {
            out.push_str("<mark>");
            open = true;
        }
        out.push_str(&esc(word));
    }
    if open {
        out.push_str("</mark>");
    }
    out
}

/// A member that isn't as it must be, and the beginning of its value as JSON has it.
pub(super) type Wrong<'t> = (&'t str, &'t str);

/// The members that a sentence names: `manifest.keyEpoch is 0, not 3` has `keyEpoch` and `0`.
pub(super) fn wrong_members(observed: &str) -> Vec<Wrong<'_>> {
    let places = observed.match_indices(" is ");
    places
        .filter_map(|(at, verb)| {
            let word = observed[..at].rsplit(' ').next()?;
            let name = word.rsplit('.').next()?;
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            let (value, _) = observed[at + verb.len()..].split_once(", not ")?;
            let value = value.split('\u{2026}').next()?;
            (is_name && !value.is_empty()).then_some((name, value))
        })
        .collect()
}

/// A body of JSON, a member a line, in which the values of these members are marked.
pub(super) fn with_marks(body: &str, wrong: &[Wrong<'_>]) -> String {
    let mut out = String::with_capacity(body.len() * 2);
    for (number, line) in body.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let value = wrong.iter().find_map(|(name, value)| {
            let (_, said) = line.trim_start().strip_prefix('"')?.split_once(name)?;
            let said = said.strip_prefix("\": ")?;
            let whole = said.strip_suffix(',').unwrap_or(said);
            let cut = value.starts_with('"') && !value.ends_with('"');
            let same = if cut { whole.starts_with(value) } else { whole == *value };
            let at = line.len() - said.len();
            same.then_some(at..at + whole.len())
        });
        match value {
            Some(value) => {
                let [before, marked, after] = [&line[..value.start], &line[value.clone()], &line[value.end..]].map(esc);
                out += &format!("{before}<mark>{marked}</mark>{after}");
            }
            None => out += &esc(line),
        }
    }
    out
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').filter(|word| !word.is_empty()).collect()
}

/// Which words of the second text belong to the longest sequence that both have.
fn common(one: &[&str], other: &[&str]) -> Vec<bool> {
    let columns = other.len() + 1;
    let mut longest = vec![0_usize; (one.len() + 1) * columns];
    for row in (0..one.len()).rev() {
        for column in (0..other.len()).rev() {
            longest[row * columns + column] = if one[row] == other[column] {
                longest[(row + 1) * columns + column + 1] + 1
            } else {
                longest[(row + 1) * columns + column].max(longest[row * columns + column + 1])
            };
        }
    }
    let mut kept = vec![false; other.len()];
    let (mut row, mut column) = (0, 0);
    while row < one.len() && column < other.len() {
        if one[row] == other[column] {
            kept[column] = true;
            (row, column) = (row + 1, column + 1);
        } else if longest[(row + 1) * columns + column] >= longest[row * columns + column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_are_wrong_are_marked_in_the_answer() {
        let observed =
            "after a push, pull shows: manifest.keyEpoch is 0, not 3; envelope.iv is \"ab\u{2026}\", not \"x\"";
        let wrong = wrong_members(observed);
        assert_eq!(wrong, [("keyEpoch", "0"), ("iv", "\"ab")]);
        let body = "{\n  \"keyEpoch\": 0,\n  \"iv\": \"abc<\",\n  \"newKeyEpoch\": 0,\n  \"x\": 0\n}";
        let marked = "{\n  &quot;keyEpoch&quot;: <mark>0</mark>,\n  &quot;iv&quot;: <mark>&quot;abc&lt;&quot;</mark>,\n  \
                      &quot;newKeyEpoch&quot;: 0,\n  &quot;x&quot;: 0\n}";
        assert_eq!(with_marks(body, &wrong), marked);
        assert_eq!(wrong_members("status 409"), []);
        assert_eq!(wrong_members(" is , not  is "), []);
    }

    #[test]
    fn what_differs_is_marked() {
        assert_eq!(marked("version 2 and epoch 1", "version 1 and epoch 1"), "version <mark>1</mark> and epoch 1");
        assert_eq!(marked("a b", "a b <x> y"), "a b <mark>&lt;x&gt; y</mark>");
        // All of it is different, or nothing.
        assert_eq!(marked("200 with a manifest", "<nothing at all>"), "&lt;nothing at all&gt;");
        assert_eq!(marked("same", "same"), "same");
        assert_eq!(marked("", ""), "");
        assert!(!marked(&"a ".repeat(500), &"a b ".repeat(500)).contains("<mark>"));
    }
}
