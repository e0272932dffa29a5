//! Additional authenticated data of the payload ciphertext (SPEC §4).

/// The byte between the repository id and the counters.
pub const SEPARATOR: u8 = 0x1F;

/// The triple that a payload ciphertext is bound to (SPEC §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// Opaque repository id; any string.
    pub repo_id: &'a str,
    /// Payload version, the whole `int64` range.
    pub payload_version: i64,
    /// Key epoch, the whole `int64` range.
    pub key_epoch: i64,
}

impl Binding<'_> {
    /// The canonical bytes: UTF-8 of the id, `0x1F`, then both counters as 8-byte big-endian two's complement.
    ///
    /// The length is always `repo_id.len() + 17`.
    pub fn to_aad(&self) -> Vec<u8> {
        let mut aad = Vec::with_capacity(self.repo_id.len() + 17);
        aad.extend_from_slice(self.repo_id.as_bytes());
        aad.push(SEPARATOR);
        aad.extend_from_slice(&self.payload_version.to_be_bytes());
        aad.extend_from_slice(&self.key_epoch.to_be_bytes());
        aad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_the_specification_s() {
        let aad = Binding { repo_id: "r", payload_version: 258, key_epoch: -1 }.to_aad();
        assert_eq!(aad, [b'r', 0x1f, 0, 0, 0, 0, 0, 0, 1, 2, 255, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn id_is_utf8_and_may_hold_the_separator() {
        let aad = Binding { repo_id: "é\u{1f}", payload_version: 0, key_epoch: i64::MIN }.to_aad();
        assert_eq!(aad[..4], [0xc3, 0xa9, 0x1f, 0x1f]);
        assert_eq!(aad[12..], [0x80, 0, 0, 0, 0, 0, 0, 0]);
    }
}
