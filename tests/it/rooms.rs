//! The rooms of the source, as the README's map lists them: each may use those above it in the list, and no others. The files of a
//! room use each other in one direction, so that each can be read after those that it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Pairs of rooms that know nothing of each other, although one stands above the other in the map: each is the other's oracle.
const STRANGERS: [(&str, &str); 8] = [
    ("model", "client"),
    ("model", "server"),
    ("client", "server"),
    ("model", "agent"),
    ("server", "agent"),
    ("client", "agent"),
    ("server", "scenarios"),
    ("faults", "scenarios"),
];

/// Uses that may go round in a circle. A rule's default is a flow that asks the rules, so that a fault can change the whole flow as
/// well as a step of it.
const DEFAULTS: [(&str, &str); 4] = [
    ("server/rules/identity", "server/issuer"),
    ("server/rules/identity", "server/redemption"),
    ("server/rules/identity", "server/rules/conformant"),
    ("server/rules/vault", "server/operations"),
];

/// The rooms of `src`, in the order of the map.
fn rooms() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let row = |line: &str| Some(line.strip_prefix("| `src/")?.split_once('`')?.0.to_owned());
    readme.lines().filter_map(row).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().and_then(|name| name.to_str()) {
            // Tests may look anywhere.
            Some("tests" | "tests.rs") => {}
            Some(_) if path.is_dir() => files(&path, found),
            Some(name) if name.ends_with(".rs") => found.push(path),
            _ => {}
        }
    }
}

/// A path, segment by segment: that of a module begins below the crate.
type Segments = Vec<String>;

/// A path that a file names.
struct Named {
    path: Segments,
    /// What a `use` calls it from there on.
    local: Option<String>,
    /// Whether it is handed on by `pub use`: whoever names it means the file that it comes from.
    handed_on: bool,
}

/// A file of the source.
#[derive(Default)]
struct Module {
    tokens: Vec<String>,
    named: Vec<Named>,
}

/// The files by their modules.
struct Source(BTreeMap<Segments, Module>);

/// The words and signs of a text. Comments and the unit tests at the end don't count.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let code = text.lines().map(str::trim).take_while(|line| *line != "mod tests {");
    for line in code.filter(|line| !line.starts_with("//")) {
        let mut before = ' ';
        for c in line.chars() {
            match tokens.last_mut() {
                Some(last) if is_of_word(before) && is_of_word(c) => last.push(c),
                Some(last) if before == ':' && c == ':' => last.push(c),
                _ if c == ' ' => {}
                _ => tokens.push(c.into()),
            }
            before = c;
        }
    }
    tokens
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Reads the paths that begin at a token, all of them behind `before`, each with what it is called from there on. Says where they end.
fn read(tokens: &[String], mut at: usize, mut before: Segments, paths: &mut Vec<(Segments, String)>) -> usize {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    loop {
        match token(at) {
            "{" => {
                while token(at) != "}" && token(at + 1) != "}" {
                    at = read(tokens, at + 1, before.clone(), paths);
                }
                return at + 1 + usize::from(token(at) != "}");
            }
            "self" if !before.is_empty() => {}
            word => before.push(word.to_owned()),
        }
        at += 1;
        let next = token(at + 1);
        if token(at) != "::" || !(matches!(next, "{" | "*") || next.starts_with(is_of_word)) {
            break;
        }
        at += 1;
    }
    let renamed = token(at) == "as";
    let local = if renamed { token(at + 1).to_owned() } else { before.last().cloned().unwrap_or_default() };
    paths.push((before, local));
    at + 2 * usize::from(renamed)
}

impl Source {
    /// The source of this crate.
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        files(&root, &mut found);
        let texts = found.into_iter().map(|path| {
            let file = path.strip_prefix(&root).unwrap().with_extension("");
            (file.to_str().unwrap().replace('\\', "/"), std::fs::read_to_string(&path).unwrap())
        });
        Self::of(texts)
    }

    /// Files, each with its path below `src` and its text.
    fn of(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let module = |(file, text): (String, String)| {
            let mut module: Segments = file.split('/').map(str::to_owned).collect();
            module.pop_if(|last| matches!(last.as_str(), "mod" | "lib"));
            (module, Module { tokens: tokens(&text), named: Vec::new() })
        };
        let mut source = Self(files.into_iter().map(module).collect());
        let named: Vec<_> = source.0.values().map(|module| named(&module.tokens)).collect();
        source.0.values_mut().zip(named).for_each(|(module, named)| module.named = named);
        source
    }

    /// The module in whose file that is which `module` calls by a path; `module` itself for what is no module's of this crate.
    fn home(&self, module: &[String], path: &[String]) -> Segments {
        let (mut at, mut rest) = (module.to_vec(), path);
        while let [name, more @ ..] = rest {
            let child = [&at[..], std::slice::from_ref(name)].concat();
            match name.as_str() {
                "crate" => at.clear(),
                "super" => drop(at.pop()),
                "self" => {}
                _ if self.0.contains_key(&child) => at = child,
                _ => break,
            }
            rest = more;
        }
        let (Some(here), [name, more @ ..]) = (self.0.get(&at), rest) else { return at };
        // A crate may have an item of its own name, which leads nowhere.
        let leads_on = |used: &&Named| used.local.as_ref() == Some(name) && used.path.first() != Some(name);
        if let Some(used) = here.named.iter().find(leads_on) {
            return self.home(&at, &[&used.path, more].concat());
        }
        let defines = |pair: &[String]| {
            pair[1] == *name && matches!(pair[0].as_str(), "fn" | "struct" | "enum" | "trait" | "type" | "const")
        };
        let glob =
            |used: &Named| used.path.strip_suffix(&["*".to_owned()]).filter(|_| used.handed_on).map(<[_]>::to_vec);
        match here.named.iter().find_map(glob) {
            Some(glob) if !here.tokens.windows(2).any(defines) => self.home(&at, &[&glob, rest].concat()),
            _ => at,
        }
    }

    /// Which file uses which other one, and by what paths.
    fn uses(&self) -> BTreeMap<(Segments, Segments), BTreeSet<String>> {
        let mut uses: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (module, Module { named, .. }) in &self.0 {
            for Named { path, .. } in named.iter().filter(|named| !named.handed_on) {
                let home = self.home(module, path);
                if home != *module {
                    uses.entry((module.clone(), home)).or_default().insert(path.join("::"));
                }
            }
        }
        uses
    }

    /// The uses that are part of a circle within a room, or lead from one to another. What passes between a file and its own
    /// submodules isn't counted: they are one thing.
    fn circles(&self) -> Vec<String> {
        let mut uses = self.uses();
        uses.retain(|(user, used), _| {
            let is_default = DEFAULTS.contains(&(&user.join("/"), &used.join("/")));
            user.first() == used.first() && !user.starts_with(used) && !used.starts_with(user) && !is_default
        });
        loop {
            let count = uses.len();
            let (users, used): (BTreeSet<_>, BTreeSet<_>) = uses.keys().cloned().unzip();
            // Who uses nobody is part of no circle, nor is who isn't used by anybody.
            uses.retain(|(one, other), _| used.contains(one) && users.contains(other));
            if uses.len() == count {
                break;
            }
        }
        let line = |((user, used), paths): (&(Segments, Segments), &BTreeSet<String>)| {
            format!("{} uses {}: {paths:?}", user.join("/"), used.join("/"))
        };
        uses.iter().map(line).collect()
    }
}

/// The paths among tokens: whatever stands in a `use`, or has `::` behind its first word.
fn named(tokens: &[String]) -> Vec<Named> {
    let (mut named, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let before = |back: usize| at.checked_sub(back).map_or("", |at| tokens[at].as_str());
        let in_use = before(1) == "use";
        let begins = tokens[at].starts_with(is_of_word) && before(1) != "::";
        if !begins || !(in_use || tokens.get(at + 1).is_some_and(|next| next == "::")) {
            at += 1;
            continue;
        }
        let handed_on = in_use && matches!(before(2), "pub" | ")");
        let mut paths = Vec::new();
        at = read(tokens, at, Vec::new(), &mut paths);
        // Another crate by its own name is nothing of ours.
        paths.retain(|(path, local)| path.len() > 1 || path[0] != *local);
        let path = |(path, local)| Named { path, local: in_use.then_some(local), handed_on };
        named.extend(paths.into_iter().map(path));
    }
    named
}

#[test]
fn every_room_is_on_the_map() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folders = std::fs::read_dir(source).unwrap().map(|entry| entry.unwrap());
    let folders: BTreeSet<_> =
        folders.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(rooms().into_iter().collect::<BTreeSet<_>>(), folders);
}

#[test]
fn rooms_use_only_those_above_them_on_the_map() {
    let rooms = rooms();
    let place = |name: Option<&String>| rooms.iter().position(|room| Some(room) == name);
    let strangers =
        |one: &str, other: &str| STRANGERS.iter().any(|pair| *pair == (one, other) || *pair == (other, one));
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for ((user, used), paths) in Source::read().uses() {
        let (Some(at), Some(there)) = (place(user.first()), place(used.first())) else { continue };
        if there > at || strangers(&rooms[at], &rooms[there]) {
            wrong.push(format!("{} uses {}: {paths:?}", user.join("/"), used.join("/")));
        }
        seen.extend((there != at).then_some((user, there)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen.len() > 300, "only {} uses were seen", seen.len());
}

#[test]
fn files_of_a_room_use_each_other_in_one_direction() {
    let source = Source::read();
    let circles = source.circles();
    assert!(circles.is_empty(), "{circles:#?}");
    let within = source.uses().keys().filter(|(user, used)| user.first() == used.first()).count();
    assert!(within > 1000, "only {within} uses were seen");
}

/// A little source of three files and what `room/one` says.
fn source(one: &str) -> Source {
    let files = [
        ("lib", "pub mod room;"),
        ("room/mod", "mod one; mod two; pub use two::{Two as Renamed, deep::Deep};\npub use two::all::*;\nstruct Own;"),
        ("room/two/mod", "use super::one::One;\npub mod all;\npub mod deep;"),
        ("room/two/all", "fn everything() {}"),
        ("room/two/deep", "pub struct Deep;"),
        ("room/one", one),
    ];
    Source::of(files.map(|(file, text)| (file.to_owned(), text.to_owned())))
}

#[test]
fn uses_are_read() {
    let used = |text: &str| {
        let uses = source(text).uses();
        let used = uses.into_keys().filter(|(user, _)| user.join("/") == "room/one").map(|(_, used)| used.join("/"));
        used.collect::<Vec<_>>()
    };
    assert_eq!(used("use super::two;"), ["room/two"]);
    assert_eq!(used("use crate::room::{Own, two::{self, deep::{Deep}}};"), ["room", "room/two", "room/two/deep"]);
    assert_eq!(used("fn f() { super::two::deep::f::<u8>(1) }"), ["room/two/deep"]);
    assert_eq!(used("use super::two as other;\nfn f() -> other::deep::Deep {}"), ["room/two", "room/two/deep"]);
    assert_eq!(used("use crate::room::{Renamed, Deep, everything,};"), ["room/two", "room/two/all", "room/two/deep"]);
    assert_eq!(used("pub(super) use super::two::Two;\n// super::two\nuse std::fmt::{self, Debug};"), [""; 0]);
    assert_eq!(used("#[cfg(test)]\nmod tests {\n    use super::super::two;\n}"), [""; 0]);
}

#[test]
fn circles_are_seen() {
    assert!(source("use super::Own;\nuse super::two::deep::Deep;").circles().is_empty());
    for back in ["use super::two::Two;", "use super::Renamed;", "fn f() { crate::room::two::f() }"] {
        let circles = source(back).circles();
        assert_eq!(circles.len(), 2, "{back}: {circles:?}");
        assert!(circles[1].starts_with("room/two uses room/one: "), "{circles:?}");
    }
}
