//! The one number of Ed25519 that forgers need: what can be added to a signature without changing what it proves.

/// L, the order of the base point (RFC 8032 §5.1), little-endian.
pub(crate) const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// R ‖ S with S + L instead of S: the same equation, another signature. RFC 8032 §5.1.7 demands S < L.
pub(crate) fn unreduced(signature: &[u8; 64]) -> [u8; 64] {
    let mut out = *signature;
    add_order(&mut out[32..]);
    out
}

/// S + L. The low byte of each sum stays, the rest carries; of a right signature S + L is below 2^254, so nothing is carried out.
pub(crate) fn add_order(s: &mut [u8]) {
    let mut carry = 0;
    for (byte, order) in s.iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L·B is the identity, and so S + L verifies wherever S isn't held to be reduced; here it is, so only the arithmetic is tested.
    #[test]
    fn adding_the_order() {
        let mut zero = [0; 64];
        zero[..32].copy_from_slice(&[9; 32]);
        let once = unreduced(&zero);
        assert_eq!((&once[..32], &once[32..]), (&[9; 32][..], &ORDER[..]));
        let mut carry = [0xff; 64];
        carry[63] = 0x0f;
        assert_eq!(unreduced(&carry)[32], 0xec);
        assert_eq!(unreduced(&carry)[63], 0x20);
    }
}
