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
    if kept * 3 < other.len() || kept == other.len() {
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
