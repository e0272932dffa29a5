//! Repository ids that a collation, a parser or a file system takes for each other (SPEC §8): an id is exact and opaque, so two
//! strings are two repositories, or one of them is refused.

mod forms;

use super::check::checks;
use super::repo_ids::{LOST_ON_THE_WAY, is_plain};
use super::state::{compare_envelope, compare_manifest};
use super::variants::Variants;
use super::{Answer, Ctx, Member, Outcome, Stop};
use crate::client::{Repo, random};
use crate::wire::{PullResponse, VaultManifest};

checks! {
    "ids/similar-letters", Must, "§8", [CREATE_IDS_EXACT, STORED_VERBATIM], similar_letters,
        "Ids that differ only in accents, case, form, width or digits outside ASCII are two repositories, or refused";
    "ids/similar-ends", Must, "§8", [CREATE_IDS_EXACT, STORED_VERBATIM], similar_ends,
        "Ids that differ only in blanks, dots, NULs or invisible characters are two repositories, or refused";
    "ids/similar-to-parsers", Must, "§8", [CREATE_IDS_EXACT, STORED_VERBATIM], similar_to_parsers,
        "Ids that a path, pattern, escape or hash would be one for are two repositories, or refused";
    "ids/similar-forms", Must, "§8", [CREATE_IDS_EXACT, STORED_VERBATIM], similar_forms,
        "Ids that are one number, moment, hash or address in two spellings are two repositories, or refused";
    "ids/similar-parts", Must, "§8", [CREATE_IDS_EXACT, STORED_VERBATIM], similar_parts,
        "Ids that are alike up to a colon, hash or other separator, or after it, are two repositories, or refused";
    "ids/similar-beginnings", Must, "§8", [CREATE_IDS_EXACT, STORED_VERBATIM], similar_beginnings,
        "Ids of any length that differ only in their last character are two repositories, or refused";
}

/// What two ids differ in, and both: the last `*` stands for the same random UUID.
type Pair = (&'static str, &'static str, &'static str);

const LETTERS: &[Pair] = &[
    ("an accent", "cafe-*", "caf\u{e9}-*"),
    ("normalization (é)", "caf\u{e9}-*", "cafe\u{301}-*"),
    ("normalization (Å)", "\u{c5}-*", "\u{212b}-*"),
    ("ß and ss", "stra\u{df}e-*", "strasse-*"),
    ("a ligature", "\u{fb01}le-*", "file-*"),
    ("dotless i", "\u{131}d-*", "id-*"),
    ("case in Cyrillic", "\u{416}-*", "\u{436}-*"),
    ("two small sigmas", "\u{3c3}-*", "\u{3c2}-*"),
    ("the Kelvin sign", "k-*", "\u{212a}-*"),
    ("full width", "A-*", "\u{ff21}-*"),
    ("Arabic digits", "3-*", "\u{663}-*"),
    ("hiragana and katakana", "\u{304b}-*", "\u{30ab}-*"),
    ("emoji", "\u{1f511}-*", "\u{1f512}-*"),
    ("a letter and a question mark", "\u{436}-*", "?-*"),
    ("a stroke", "\u{f8}-*", "o-*"),
    ("an umlaut and two letters", "\u{fc}-*", "ue-*"),
    ("a curly apostrophe", "a\u{2019}*", "a'*"),
];

/// With `--thorough`, besides.
const MORE_LETTERS: &[Pair] = &[
    ("another accent", "caf\u{e8}-*", "caf\u{e9}-*"),
    ("normalization (ñ)", "\u{f1}-*", "n\u{303}-*"),
    ("ß and its capital", "\u{df}-*", "\u{1e9e}-*"),
    ("æ and ae", "\u{e6}-*", "ae-*"),
    ("dotted I", "\u{130}d-*", "id-*"),
    ("case in Latin-1", "\u{c9}-*", "\u{e9}-*"),
    ("the long s", "s-*", "\u{17f}-*"),
    ("full width digits", "1-*", "\u{ff11}-*"),
    ("a superscript", "2-*", "\u{b2}-*"),
    ("a circled digit", "1-*", "\u{2460}-*"),
    ("half-width katakana", "\u{30ab}-*", "\u{ff76}-*"),
    ("an emoji and the replacement character", "\u{1f511}-*", "\u{fffd}-*"),
    ("Cyrillic and Latin", "\u{430}-*", "a-*"),
];

const ENDS: &[Pair] = &[
    ("a blank at the end", "*", "* "),
    ("a line feed at the end", "*", "*\n"),
    ("a no-break space at the end", "*", "*\u{a0}"),
    ("a dot at the end", "*", "*."),
    ("a NUL at the end", "*", "*\0"),
    ("what follows a NUL", "*\0a", "*\0b"),
    ("a zero width space", "a*", "a\u{200b}*"),
    ("a soft hyphen", "a*", "a\u{ad}*"),
    ("a tab and a blank", "a\t*", "a *"),
    ("two blanks inside", "a *", "a  *"),
    ("a no-break space", "a *", "a\u{a0}*"),
    ("a byte order mark", "*", "\u{feff}*"),
    ("a variation selector", "\u{2764}*", "\u{2764}\u{fe0f}*"),
];

/// With `--thorough`, besides.
const MORE_ENDS: &[Pair] = &[
    ("a blank at the beginning", "*", " *"),
    ("a tab at the end", "*", "*\t"),
    ("CRLF at the end", "*", "*\r\n"),
    ("CRLF and LF inside", "a\r\n*", "a\n*"),
    ("an ideographic space at the end", "*", "*\u{3000}"),
    ("two dots at the end", "*", "*.."),
    ("a dot at the beginning", "*", ".*"),
    ("a control character", "*", "*\u{1}"),
    ("DEL at the end", "*", "*\u{7f}"),
    ("a zero width joiner", "a*", "a\u{200d}*"),
    ("a mark of direction", "*", "\u{202e}*"),
    ("a line separator", "*", "*\u{2028}"),
];

const PARSERS: &[Pair] = &[
    ("braces", "{*}", "*"),
    ("slash and backslash", "a/*", "a\\*"),
    ("slashes in a row", "a/*", "a//*"),
    ("an underscore as a pattern", "a-b*", "a_b*"),
    ("a percent sign as a pattern", "ab*", "a%*"),
    ("an asterisk", "ab-*", "a?-*"),
    ("the alphabets of base64", "a+*", "a-*"),
    ("padding", "*", "*="),
    ("a percent escape", "%41*", "A*"),
    ("a quote doubled", "a''*", "a'*"),
    ("a backslash", "a\\*", "a*"),
    ("a hash that collides", "Aa*", "BB*"),
    ("a slash at the end", "*", "*/"),
    ("a plus and a blank", "a+*", "a *"),
    ("HTML entities", "a&lt;*", "a<*"),
];

/// With `--thorough`, besides.
const MORE_PARSERS: &[Pair] = &[
    ("urn:uuid:", "urn:uuid:*", "*"),
    ("a dot segment", "a/*", "a/./*"),
    ("a question mark", "axx-*", "a\u{2a}-*"),
    ("two hyphens", "a-*", "a--*"),
    ("the alphabets of base64 (slash)", "a/*", "a_*"),
    ("a comment of SQL", "*", "*--"),
    ("a colon", "a:*", "a*"),
    ("a semicolon", "*", "*;a"),
    ("another hash that collides", "Ab*", "BA*"),
];

/// What keys of caches, addresses, tags and files are taken apart at.
const PARTS: &[Pair] = &[
    ("what follows a colon", "*:a", "*:b"),
    ("what follows a hash sign", "*#a", "*#b"),
    ("what follows a question mark", "*?a", "*?b"),
    ("what follows a bar", "*|a", "*|b"),
    ("what follows a comma", "*,a", "*,b"),
    ("what follows an at sign", "*@a", "*@b"),
    ("what follows a dot", "*.a", "*.b"),
    ("what follows a blank", "* a", "* b"),
    ("what follows an underscore", "*_a", "*_b"),
    ("what follows a slash", "*/a", "*/b"),
    ("what comes before a colon", "a:*", "b:*"),
    ("what comes before an at sign", "a@*", "b@*"),
    ("what comes before a slash", "a/*", "b/*"),
    ("what comes before a hash sign", "a#*", "b#*"),
];

/// With `--thorough`, besides.
const MORE_PARTS: &[Pair] = &[
    ("what follows a semicolon", "*;a", "*;b"),
    ("what follows an ampersand", "*&a", "*&b"),
    ("what follows an equals sign", "*=a", "*=b"),
    ("what follows an exclamation mark", "*!a", "*!b"),
    ("what follows a tilde", "*~a", "*~b"),
    ("what follows a dollar sign", "*$a", "*$b"),
    ("what follows a plus sign", "*+a", "*+b"),
    ("what follows a percent sign", "*%a", "*%b"),
    ("what follows two colons", "*::a", "*::b"),
    ("what follows a backslash", "*\\a", "*\\b"),
    ("what comes before a dot", "a.*", "b.*"),
    ("what comes before a bar", "a|*", "b|*"),
    ("what comes before a comma", "a,*", "b,*"),
];

/// Lengths at which columns, indexes and buffers end.
const LENGTHS: &[usize] = &[16, 24, 36, 48, 63, 100, 127, 191, 254, 255, 767];
/// With `--thorough`, besides; many rightly refuse the longer ones.
const LONGER: &[usize] = &[15, 17, 40, 50, 200, 256, 511, 512, 1023, 2047, 4095];

async fn similar_letters(cx: &Ctx) -> Outcome {
    table(cx, LETTERS, MORE_LETTERS).await
}

async fn similar_ends(cx: &Ctx) -> Outcome {
    table(cx, ENDS, MORE_ENDS).await
}

async fn similar_to_parsers(cx: &Ctx) -> Outcome {
    table(cx, PARSERS, MORE_PARSERS).await
}

async fn similar_forms(cx: &Ctx) -> Outcome {
    let mut table = Table::new(cx).await?;
    for (what, spell) in forms::FORMS.iter().chain(if cx.thorough() { forms::MORE } else { &[] }) {
        table.pair(what, spell).await?;
    }
    table.settle()
}

async fn similar_parts(cx: &Ctx) -> Outcome {
    table(cx, PARTS, MORE_PARTS).await
}

/// Both owners, and what came of the pairs so far.
struct Table<'c> {
    cx: &'c Ctx,
    alice: Member,
    bob: Member,
    tally: Variants,
    /// Ids that were taken and can't be reached.
    lost: Variants,
}

impl<'c> Table<'c> {
    async fn new(cx: &'c Ctx) -> Result<Self, Stop> {
        let (alice, bob) = (cx.member().await?, cx.member().await?);
        Ok(Self { cx, alice, bob, tally: Variants::default(), lost: Variants::default() })
    }

    async fn pair(&mut self, what: &str, make: impl Fn() -> (String, String)) -> Outcome {
        let outcome = self.are_two(&make).await;
        self.tally.note(what, outcome)
    }

    /// The first exists and mustn't be found under the second's name; then both exist, each with its own.
    async fn are_two(&mut self, make: &impl Fn() -> (String, String)) -> Outcome {
        let (cx, (first, second)) = (self.cx, make());
        let (one, two) = (Repo::with_id(&self.alice, &first), Repo::with_id(&self.bob, &second));
        if !self.create(&self.alice.clone(), &one).await? {
            return Err(refused(&first));
        }
        let mut answer = cx.pull(&self.alice, &two.pull_request(0)).await?;
        if !answer.is_success() {
            // A body may be what keeps the two apart; a fetch has none.
            answer = cx.fetch(&self.alice, &second, self.alice.id()).await?;
        }
        let free = format!("{second:?} isn't found while only {first:?} exists");
        match answer.must(!answer.is_success(), &free, || answer.summary()) {
            // Routers that decode a path before they split it find the one for the other; the ids as such are judged below.
            Err(found) if is_of_paths(&first) || is_of_paths(&second) => {
                self.lost.note(format!("{second:?}"), Err(found))?
            }
            judged => judged?,
        }
        cx.watch(&two);
        let answer = cx.create(&self.bob, &two.create_request()).await?;
        if answer.is_refusal() {
            // Is it the first one that stands in the way, or does the server not take such ids at all?
            let alone = Repo::with_id(&self.bob, &make().1);
            let taken = alone.id() != second && self.create(&self.bob.clone(), &alone).await?;
            answer.must(!taken, &format!("{second:?} is free while {first:?} exists"), || answer.summary())?;
            self.is_itself(&self.alice.clone(), &one).await?;
            return Err(refused(&second));
        }
        as_sent(&two, &answer)?;
        self.is_itself(&self.alice.clone(), &one).await?;
        self.is_itself(&self.bob.clone(), &two).await
    }

    /// One and 23 read like 12 and 3, to whoever joins id and version without anything between them.
    async fn are_two_by_version(&mut self) -> Outcome {
        let (alice, bob, id) = (self.alice.clone(), self.bob.clone(), random::uuid());
        let one = Repo::with_counters(&alice, &format!("{id}1"), 23, 0);
        let two = Repo::with_counters(&bob, &format!("{id}12"), 3, 0);
        for (owner, repo) in [(&alice, &one), (&bob, &two)] {
            if !self.create(owner, repo).await? {
                return Err(refused(repo.id()));
            }
            self.is_itself(owner, repo).await?;
        }
        self.is_itself(&alice, &one).await
    }

    /// The repository is served as it was created. One that can't be reached at all is a warning where its id has
    /// characters that may not survive a path.
    async fn is_itself(&mut self, owner: &Member, repo: &Repo) -> Outcome {
        let answer = self.cx.pull(owner, &repo.pull_request(0)).await?;
        if answer.is_success() {
            let pulled: PullResponse = answer.message()?;
            let envelope = pulled.envelope.as_ref();
            let difference = compare_manifest(&repo.manifest, &pulled.manifest)
                .or_else(|| envelope.and_then(|envelope| compare_envelope(&repo.envelope, envelope)));
            let expected = "both repositories are as they were created";
            return difference.map_or(Ok(()), |difference| Err(answer.violation(expected, difference)));
        }
        let id = repo.id();
        let lost =
            answer.violation(format!("an id that is taken works percent-encoded, such as {id:?}"), answer.summary());
        if is_plain(id) && answer.is_refusal() {
            return Err(lost);
        }
        self.lost.note(format!("{id:?}"), Err(lost))
    }

    /// Creates a repository; false when the server refuses its id.
    async fn create(&mut self, owner: &Member, repo: &Repo) -> Result<bool, Stop> {
        self.cx.watch(repo);
        let answer = self.cx.create(owner, &repo.create_request()).await?;
        if answer.is_refusal() {
            return Ok(false);
        }
        if !answer.is_success() {
            self.tally.stumbled(format!("createRepo of {:?}", repo.id()), Some(repo.id()), &answer);
            return Err(refused(repo.id()));
        }
        as_sent(repo, &answer)?;
        Ok(true)
    }

    fn settle(self) -> Outcome {
        self.lost.warn_once(self.cx, LOST_ON_THE_WAY);
        self.tally.settle(self.cx)
    }
}

/// Whether an id holds what paths are made of.
fn is_of_paths(id: &str) -> bool {
    id.contains(['/', '\\', ';']) || id.contains("%4") || id.contains("a+")
}

fn refused(id: &str) -> Stop {
    Stop::not_applicable(format!("the server refuses ids such as {id:?}, as it may"))
}

/// The id comes back as it was sent.
fn as_sent(repo: &Repo, answer: &Answer<'_>) -> Outcome {
    let manifest: VaultManifest = answer.accepted("createRepo")?;
    let expected = format!("an id that is taken is {:?}, as it was sent", repo.id());
    answer.must(manifest.repo_id == repo.id(), &expected, || format!("{:?}", manifest.repo_id))
}

async fn table(cx: &Ctx, pairs: &[Pair], more: &[Pair]) -> Outcome {
    let mut table = Table::new(cx).await?;
    for (what, first, second) in pairs.iter().chain(if cx.thorough() { more } else { &[] }) {
        table
            .pair(what, || {
                let digits = random::uuid();
                (filled(first, &digits), filled(second, &digits))
            })
            .await?;
    }
    table.settle()
}

fn filled(pattern: &str, digits: &str) -> String {
    // The last asterisk is the place; one before it is itself.
    match pattern.rsplit_once('*') {
        Some((before, after)) => format!("{before}{digits}{after}"),
        None => pattern.to_owned(),
    }
}

/// The first so many characters are the same, and one follows.
async fn similar_beginnings(cx: &Ctx) -> Outcome {
    let mut table = Table::new(cx).await?;
    let outcome = table.are_two_by_version().await;
    table.tally.note("ids that are one with their versions behind them", outcome)?;
    for common in LENGTHS.iter().chain(if cx.thorough() { LONGER } else { &[] }) {
        table
            .pair(&format!("what follows {common} characters"), || {
                let mut shared = crate::ground::hex::encode(&random::bytes::<16>()).repeat(common.div_ceil(32));
                shared.truncate(*common);
                (format!("{shared}a"), format!("{shared}b"))
            })
            .await?;
    }
    table.settle()
}
