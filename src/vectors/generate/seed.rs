//! Where every key, IV and nonce of the bank comes from: a hash of a documented seed and a label. Nothing here is secret.

use sha2::{Digest, Sha256};

/// The seed; a change changes every file.
pub(super) const SEED: &str = "avp-conform vectors 1";

/// `N` bytes of a label: SHA-256 over seed, 0x1F, label, 0x1F and a block counter (4 bytes, big-endian, from 0).
pub(super) fn bytes<const N: usize>(label: &str) -> [u8; N] {
    let mut out = [0; N];
    for (counter, chunk) in (0_u32..).zip(out.chunks_mut(32)) {
        let block = Sha256::new()
            .chain_update(SEED)
            .chain_update([0x1f])
            .chain_update(label)
            .chain_update([0x1f])
            .chain_update(counter.to_be_bytes())
            .finalize();
        chunk.copy_from_slice(&block[..chunk.len()]);
    }
    out
}

/// What a file's description says about it.
pub(super) fn sentence() -> String {
    format!(
        "Made by `avp-conform vectors generate`, not by hand. Keys, seeds, IVs and nonces are the first bytes of the blocks \
         SHA-256(\"{SEED}\" || 0x1F || label || 0x1F || counter as 4 bytes, big-endian, from 0), where the label is \
         file/case/what; they protect nothing."
    )
}
