//! Values of accounts that mean a leak wherever they turn up.
//!
//! They are drawn once for the process and stand in every payload, so that a handful of them is all there is to look for,
//! in whatever spelling; and they are of letters and digits only, which no escaping changes. Any twelve characters of one
//! are 71 random bits: what looks like a part of it is one.

use std::sync::LazyLock;

use super::random;

/// Characters of a canary: 160 random bits.
const LENGTH: usize = 27;

/// The secret values of every account in a payload.
#[derive(Debug)]
pub struct Canaries {
    /// Player UUID.
    pub uuid: String,
    /// Player name.
    pub username: String,
    /// Credential.
    pub access_token: String,
    /// Where a ban was observed.
    pub ban_source: String,
    /// What was said of a ban.
    pub ban_detail: String,
    /// Client that added the account.
    pub source_client: String,
    /// User within that client.
    pub source_user: String,
}

static CANARIES: LazyLock<Canaries> = LazyLock::new(|| Canaries {
    uuid: random::uuid(),
    username: text(),
    access_token: text(),
    ban_source: text(),
    ban_detail: text(),
    source_client: text(),
    source_user: text(),
});

/// Those of this process.
pub fn canaries() -> &'static Canaries {
    &CANARIES
}

impl Canaries {
    /// What each is, and its bytes: those of the text, or of the number that the text spells.
    pub fn named(&self) -> [(&'static str, Vec<u8>); 7] {
        let digits: Vec<u8> = self.uuid.bytes().filter(|byte| *byte != b'-').collect();
        let uuid = digits.chunks(2).filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let text = |text: &String| text.as_bytes().to_vec();
        [
            ("uuid of an account", uuid.collect()),
            ("username of an account", text(&self.username)),
            ("access token of an account", text(&self.access_token)),
            ("source of a ban", text(&self.ban_source)),
            ("detail of a ban", text(&self.ban_detail)),
            ("source client of an account", text(&self.source_client)),
            ("source user of an account", text(&self.source_user)),
        ]
    }
}

/// Random letters and digits.
pub fn text() -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(LENGTH);
    while text.len() < LENGTH {
        let [byte] = random::bytes();
        // Six bits each; the two values that have no character are drawn again.
        if let Some(character) = ALPHABET.get(usize::from(byte >> 2)) {
            text.push(char::from(*character));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_its_own() {
        let named = canaries().named();
        assert_eq!(named[0].1.len(), 16);
        assert!(named[1..].iter().all(|(_, bytes)| bytes.len() == LENGTH));
        assert!(named.iter().all(|one| named.iter().filter(|other| one.1 == other.1).count() == 1));
    }
}
