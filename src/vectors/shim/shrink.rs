//! Simpler recipes, simplest first: what a counterexample is shrunk by.

use super::random::Recipe;

/// How many simpler recipes are tried at once.
const MOST: usize = 256;

/// Recipes that are a step simpler and make another question.
pub(super) fn simpler(recipe: &Recipe) -> Vec<Recipe> {
    let mut out: Vec<Recipe> = Vec::new();
    let mut propose = |change: &dyn Fn(&mut Recipe)| {
        let mut simple = recipe.clone();
        change(&mut simple);
        if simple != *recipe && !out.contains(&simple) {
            out.push(simple);
        }
    };
    propose(&|recipe| recipe.mutation = None);
    for id in texts(&recipe.id) {
        propose(&|recipe| recipe.id.clone_from(&id));
    }
    for text in texts(&recipe.text) {
        propose(&|recipe| recipe.text.clone_from(&text));
    }
    for number in integers(recipe.version) {
        propose(&|recipe| recipe.version = number);
    }
    for number in integers(recipe.epoch) {
        propose(&|recipe| recipe.epoch = number);
    }
    for place in 0..recipe.keys.len() {
        let plain = [[0; 32], [1; 32]];
        for key in plain.into_iter().filter(|_| !plain.contains(&recipe.keys[place])) {
            propose(&|recipe| recipe.keys[place] = key);
        }
    }
    propose(&|recipe| recipe.iv = [0; 12]);
    for length in lengths(recipe.bytes.len()) {
        propose(&|recipe| recipe.bytes.truncate(length));
    }
    propose(&|recipe| recipe.bytes.fill(0));
    propose(&|recipe| recipe.host = "h".into());
    propose(&|recipe| recipe.options = 0);
    for bit in 0..8 {
        propose(&|recipe| recipe.options &= !(1 << bit));
    }
    let question = recipe.make().map(|made| made.request);
    out.retain(|simple| simple.make().map(|made| made.request) != question);
    out.truncate(MOST);
    out
}

fn lengths(length: usize) -> Vec<usize> {
    let mut lengths = vec![0, length / 2, length.saturating_sub(1)];
    lengths.dedup();
    lengths
}

/// Zero, one, and then ever smaller steps towards zero, so that a border is found as by bisection.
fn integers(number: i64) -> Vec<i64> {
    let mut numbers = vec![0, 1];
    for shift in 1..63 {
        match number / (1 << shift) {
            0 => break,
            step => numbers.push(number - step),
        }
    }
    numbers.push(number - number.signum());
    numbers.retain(|simple| simple.unsigned_abs() < number.unsigned_abs());
    numbers
}

/// Shorter texts, then texts of plainer characters.
fn texts(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let length = characters.len();
    let mut out: Vec<String> = Vec::new();
    let part = |from: usize, to: usize| characters.get(from..to).unwrap_or_default().iter().collect::<String>();
    out.extend([String::new(), "a".into(), part(0, length / 2), part(length / 2, length)]);
    for place in 0..length.min(12) {
        out.push(part(0, place) + &part(place + 1, length));
    }
    for (place, character) in characters.iter().enumerate().take(12) {
        if *character != 'a' {
            out.push(part(0, place) + "a" + &part(place + 1, length));
        }
    }
    out.retain(|simple| simple.chars().count() < length || simple.matches('a').count() > text.matches('a').count());
    out
}

#[cfg(test)]
mod tests {
    use super::super::super::op::CodecOp;
    use super::*;
    use crate::ground::Choices;

    #[test]
    fn shrinking_ends_at_something_small() {
        let mut recipe = Recipe::random(CodecOp::Aad, &mut Choices::new(3, "shrink"));
        recipe.id = "long-\u{1f511}\u{1f}-id".into();
        recipe.version = (1 << 53) + 12345;
        // As if the mistake were: a separator in the id, and large versions.
        let fails = |recipe: &Recipe| recipe.id.contains('\u{1f}') && recipe.version > 1 << 31;
        for _ in 0..200 {
            match simpler(&recipe).into_iter().find(fails) {
                Some(simple) => recipe = simple,
                None => break,
            }
        }
        assert_eq!((recipe.id.as_str(), recipe.version), ("\u{1f}", (1 << 31) + 1));
    }
}
