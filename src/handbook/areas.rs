//! How the checks of an area go about it, by the part of their ids before the slash.

/// Area and how its checks work.
static AREAS: &[(&str, &str)] = &[
    (
        "auth",
        "Makes keys of its own, asks for challenges and redeems them: rightly once, so that the server is known to \
         work, and then with one thing wrong. A token that comes all the same is tried on a repository before anything \
         is said.",
    ),
    (
        "token",
        "Sends the operation without a token, with garbage for one, and with tokens that were altered, re-signed or \
         are of another server. What counts is the answer, and then the repository as its member sees it.",
    ),
    (
        "create-repo",
        "Creates repositories with ids, rosters and envelopes of all kinds, and pulls what was stored; after a refusal \
         it looks whether anything was left behind.",
    ),
    ("ids", "Creates pairs of repositories whose ids differ in little, writes to one of them and reads the other."),
    (
        "pull",
        "Writes in every way there is, then pulls at the current, older and later versions, as member and as stranger, \
         and compares with what was written byte by byte.",
    ),
    (
        "push",
        "Pushes at the current version and at others, with and without a new roster, as member and as stranger; after \
         each the repository is pulled and compared with the state that the model demands.",
    ),
    (
        "add-member",
        "Adds members with entries of all kinds, as member and as stranger, and compares roster, counters and envelope \
         afterwards.",
    ),
    (
        "fetch-member-key",
        "Asks for members whose ids hold characters that paths treat in their own way, and for some who aren't there.",
    ),
    (
        "remove-member",
        "Removes members with right and wrong rosters, envelopes and epochs, and looks at the whole state afterwards; \
         who was removed tries every operation with the token that still lives.",
    ),
    ("rights", "Uses a right, takes it away, and uses it again at once, over kept and fresh connections."),
    (
        "rosters",
        "Stores rosters that are long, or whose ids differ in little, and has their members use the repository.",
    ),
    (
        "texts",
        "Stores texts that columns and parsers like to change: blanks and zeros at the ends, other alphabets, great \
         lengths.",
    ),
    ("gates", "Spells the counter on which a write depends in every way that JSON allows, and looks at what applied."),
    (
        "doubled",
        "Sends messages with a member twice, with different values, and looks which one was authorised and which one \
         was used.",
    ),
    (
        "extra-members",
        "Puts members of other messages into a right request, at the top and within its parts, with the values of \
         another repository or of a stranger. Whether it is accepted or refused, both repositories are then compared \
         with what they must be.",
    ),
    ("json", "Sends the same message in other spellings of JSON; every one means the same, or is refused."),
    (
        "later",
        "Looks once more, at the end of the run, at repositories that other checks have left, and uses some that have rested.",
    ),
    ("status", "Collects the reasons for a refusal one by one, and looks at the status of each."),
    (
        "refusal",
        "Searches refusals for what the repository holds, and looks at what a refused request leaves for the next one.",
    ),
    ("discovery", "Asks /.well-known/avp without a token, and reads what it says; there needn't be any."),
    (
        "binding",
        "Sends bindings along on every path that writes members, and verifies those that the server adds by itself.",
    ),
    (
        "zero-knowledge",
        "Marks every secret of the run with a value of its own, and searches all answers for those in every common \
         encoding.",
    ),
    (
        "storage",
        "Searches what the server has stored, logged and has in memory for the marked secrets of the run, after all \
         other checks.",
    ),
    (
        "replica",
        "Has one process of the deployment do something and asks another about it; races and histories are spread over \
         all of them.",
    ),
    (
        "profiles",
        "Does something by one profile of the server and asks the other about it; races and histories are spread over \
         both. It is left out where the two turn out to have a store each.",
    ),
    (
        "stranger",
        "Carries tokens and nonces that one deployment has issued to another that shares nothing with it, in both \
         directions.",
    ),
    (
        "crash",
        "Kills the server at random moments while clients write, starts it again, and compares what is there with what \
         was acknowledged.",
    ),
    ("schema", "Holds every answer of an operation to its JSON Schema."),
    ("example", "Plays the worked example of the specification with several clients from beginning to end."),
    (
        "bad-input",
        "Sends bodies that are no JSON, of the wrong types, too deep or too long; what counts is a 4xx in good time, \
         nothing changed, and a server that goes on.",
    ),
    (
        "race",
        "Prepares requests up to their last byte on connections of their own, and finishes them at the same moment, \
         for many rounds; then the state that is left and all the answers must have an order that explains them. A \
         pass means: not provoked in so many rounds.",
    ),
    ("authority", "Begins a request while its author is a member, removes them, and finishes it."),
    (
        "doors",
        "Spells a path, a header or a body so that a guard and the application could read it differently, without a \
         token.",
    ),
    ("disclosure", "Asks as a stranger for what might be given away, on the ways of the protocol and beside them."),
    (
        "framing",
        "Writes requests byte by byte: in chunks, in pieces, in step, with odd heads, and ambiguous ones that must be \
         refused.",
    ),
    ("negotiation", "Asks and sends with other spellings of media types and codings."),
    (
        "hangups",
        "Hangs up at every point of a request, then looks whether it happened as a whole or not at all, and whether \
         others still work.",
    ),
    (
        "grpc",
        "Sends messages that protobuf allows and the operation doesn't, broken frames, unknown fields, cancelled calls \
         and reset streams, and looks what the repository holds afterwards.",
    ),
    ("errors", "Collects the refusals of the run and looks at their bodies."),
    ("retries", "Sends a request again as a client does that has missed the answer."),
    ("paths", "Sends an id with an escaped slash, which is part of the id."),
    ("share-refresh-tokens", "Sets the flag, writes on every path, and looks for it in every manifest."),
    ("client-request", "Looks at every request that the client has sent to the instrumented vault."),
    (
        "client-read",
        "Serves payloads, counters and keys as other clients make them, and looks at what the client shows of them.",
    ),
    (
        "client-write",
        "Lets the client write, and opens what it has sent with the keys that the vault's other members hold.",
    ),
    ("client-login", "Serves challenges of many kinds, and verifies what the client signs."),
    ("client-token", "Serves tokens of many kinds, redirects and expiries, and looks where the token goes."),
    (
        "client-refuse",
        "Serves what a careful client doesn't take: payloads of other versions, altered wraps, contradicting headers.",
    ),
    (
        "client-http",
        "Serves right answers in unusual ways: chunked, compressed, in other spellings of JSON, from behind redirects.",
    ),
    ("client-conflict", "Answers pushes with conflicts, and looks at what is pushed next."),
    ("client-join", "Plays the join handshake with the client as one side."),
];

/// How the checks of an area work.
pub fn works(area: &str) -> Option<&'static str> {
    AREAS.iter().find(|(name, _)| *name == area).map(|(_, works)| *works)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_area_is_described() {
        for check in super::super::checks() {
            let area = check.id.split('/').next().unwrap_or_default();
            assert!(works(area).is_some(), "{area}: add it to src/handbook/areas.rs");
        }
    }
}
