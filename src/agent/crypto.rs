//! Keys, wraps and envelopes as the client makes them: the codec's constructions with fresh random values.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::error::AgentError;
use super::habits::{Habit, Habits};
use crate::codec::aad::Binding;
use crate::codec::envelope::{IV_LEN, TAG_LEN};
use crate::codec::key_wrap::{self, SCHEME_ID};
use crate::codec::{DataKey, base64, signature};
use crate::wire::{EncryptedEnvelope, WrappedKey};

/// `N` bytes from the operating system.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    getrandom::fill(&mut out).expect("an operating system without random numbers can't do cryptography");
    out
}

/// A member's two key pairs.
#[derive(Clone)]
pub struct Keys {
    pub(super) seed: Zeroizing<[u8; 32]>,
    pub(super) x25519: Zeroizing<[u8; 32]>,
}

impl Keys {
    /// New keys.
    pub fn generate() -> Self {
        Self { seed: Zeroizing::new(random()), x25519: Zeroizing::new(random()) }
    }

    /// The keys of two 32-byte secrets.
    pub fn of(seed: [u8; 32], x25519: [u8; 32]) -> Self {
        Self { seed: Zeroizing::new(seed), x25519: Zeroizing::new(x25519) }
    }

    /// The member id.
    pub fn id(&self) -> String {
        base64::encode(&signature::public_key(&self.seed))
    }

    /// The public key that data keys are wrapped to.
    pub fn x25519_public_key(&self) -> String {
        base64::encode(&key_wrap::public_key(&self.x25519))
    }
}

/// The additional data, or what a faulty client takes for it.
fn aad(binding: &Binding<'_>, habits: &Habits) -> Vec<u8> {
    let Binding { repo_id, payload_version, key_epoch } = *binding;
    let with =
        |separator: &[u8], version: &[u8], epoch: &[u8]| [repo_id.as_bytes(), separator, version, epoch].concat();
    #[expect(clippy::cast_possible_truncation, reason = "that is what a fault is")]
    match habits.0.first().copied() {
        Some(Habit::AAD_LITTLE_ENDIAN) => with(&[0x1f], &payload_version.to_le_bytes(), &key_epoch.to_le_bytes()),
        Some(Habit::AAD_NO_SEPARATOR) => with(&[], &payload_version.to_be_bytes(), &key_epoch.to_be_bytes()),
        Some(Habit::AAD_DECIMAL) => {
            with(&[0x1f], payload_version.to_string().as_bytes(), format!("|{key_epoch}").as_bytes())
        }
        Some(Habit::AAD_NONE) => Vec::new(),
        Some(Habit::AAD_NO_EPOCH) => with(&[0x1f], &payload_version.to_be_bytes(), &[]),
        Some(Habit::AAD_DOUBLE) => {
            let doubles = [payload_version, key_epoch].map(|counter| through_double(counter).to_be_bytes());
            with(&[0x1f], &doubles[0], &doubles[1])
        }
        Some(Habit::AAD_NEGATIVE) => {
            let low = |value: i64| i64::from(value as u32).to_be_bytes();
            with(&[0x1f], &low(payload_version), &low(key_epoch))
        }
        Some(Habit::ID_CUT) => {
            let counters = [payload_version.to_be_bytes(), key_epoch.to_be_bytes()].concat();
            repo_id.bytes().take(64).chain([0x1f]).chain(counters).collect()
        }
        Some(Habit::VERSION_ZERO_IS_ONE) => {
            Binding { payload_version: payload_version.max(1), ..binding.clone() }.to_aad()
        }
        Some(Habit::EPOCH_ZERO_IS_ONE) => Binding { key_epoch: key_epoch.max(1), ..binding.clone() }.to_aad(),
        Some(Habit::AAD_LOW_SIGNED) => {
            let words = |value: i64| (value >> 32 << 32).wrapping_add(i64::from(value as i32)).to_be_bytes();
            with(&[0x1f], &words(payload_version), &words(key_epoch))
        }
        Some(Habit::AAD_UTF_16) => {
            let halves = repo_id.encode_utf16().flat_map(|unit| match unit {
                // What UTF-8 would make of half a pair.
                0xd800..=0xdfff => {
                    vec![0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]
                }
                _ => String::from_utf16_lossy(&[unit]).into_bytes(),
            });
            let counters = [payload_version.to_be_bytes(), key_epoch.to_be_bytes()].concat();
            halves.chain([0x1f]).chain(counters).collect()
        }
        _ => binding.to_aad(),
    }
}

fn gcm_open(key: &[u8; 32], iv: &[u8; IV_LEN], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    Aes256Gcm::new(key.into()).decrypt(&Nonce::from(*iv), Payload { msg: sealed, aad }).ok().map(Zeroizing::new)
}

fn gcm_seal(key: &[u8; 32], iv: &[u8; IV_LEN], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    Aes256Gcm::new(key.into()).encrypt(&Nonce::from(*iv), Payload { msg: plain, aad }).unwrap_or_default()
}

/// What a client gets that doesn't look at the tag: the key stream is what zeros encrypt to.
fn unchecked(key: &[u8; 32], iv: &[u8; IV_LEN], sealed: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = sealed.len().saturating_sub(TAG_LEN);
    let stream = gcm_seal(key, iv, &[], &vec![0; length]);
    Zeroizing::new(sealed[..length].iter().zip(stream).map(|(byte, key)| byte ^ key).collect())
}

/// Seals a payload under a fresh IV.
pub(super) fn seal(key: &DataKey, binding: &Binding<'_>, plain: &[u8], habits: &Habits) -> EncryptedEnvelope {
    let mut iv: [u8; IV_LEN] = if habits.has(Habit::SAME_IV) { [7; IV_LEN] } else { random() };
    if habits.has(Habit::IV_FROM_VERSION) {
        iv = [0; IV_LEN];
        iv[4..].copy_from_slice(&binding.payload_version.to_be_bytes());
    }
    if habits.has(Habit::IV_OF_FOUR) {
        iv = [binding.payload_version.to_be_bytes()[7] & 3; IV_LEN];
    }
    let mut ciphertext = gcm_seal(key.as_bytes(), &iv, &aad(binding, habits), plain);
    if habits.has(Habit::PLAIN_PAYLOAD) {
        ciphertext = [plain, &[0; TAG_LEN]].concat();
    }
    let mut iv = base64::encode(&iv);
    if habits.has(Habit::LONG_IV) {
        iv = base64::encode(&random::<16>());
    }
    EncryptedEnvelope {
        repo_id: binding.repo_id.into(),
        payload_version: binding.payload_version,
        key_epoch: binding.key_epoch,
        iv,
        ciphertext: spelled(&ciphertext, habits),
    }
}

/// Base64 as this client spells it.
fn spelled(bytes: &[u8], habits: &Habits) -> String {
    let text = base64::encode(bytes);
    if habits.has(Habit::URL_ALPHABET) {
        return text.replace('+', "-").replace('/', "_");
    }
    if habits.has(Habit::NO_PADDING) {
        return text.trim_end_matches('=').into();
    }
    text
}

/// Opens a payload that must be bound to `binding`.
///
/// # Errors
/// [`AgentError::Refused`] for anything but the authentic bytes.
pub(super) fn open(
    key: &DataKey,
    binding: &Binding<'_>,
    envelope: &EncryptedEnvelope,
    habits: &Habits,
) -> Result<Zeroizing<Vec<u8>>, AgentError> {
    let iv = base64::decode_array(&envelope.iv).map_err(|error| AgentError::Refused(format!("iv: {error}")))?;
    let sealed =
        base64::decode(&envelope.ciphertext).map_err(|error| AgentError::Refused(format!("ciphertext: {error}")))?;
    if habits.has(Habit::TAG_UNCHECKED) {
        return Ok(unchecked(key.as_bytes(), &iv, &sealed));
    }
    let mut tries = vec![aad(binding, habits)];
    let near = |version: i64, epoch: i64| {
        Binding {
            payload_version: binding.payload_version.wrapping_add(version),
            key_epoch: binding.key_epoch.wrapping_add(epoch),
            ..binding.clone()
        }
        .to_aad()
    };
    match habits.0.first().copied() {
        Some(Habit::AAD_FALLBACK) => tries.push(Vec::new()),
        Some(Habit::OLDER_VERSIONS) => tries.extend([near(-1, 0), near(1, 0)]),
        Some(Habit::OLDER_EPOCHS) => tries.extend([near(0, -1), near(0, 1)]),
        _ => {}
    }
    tries
        .iter()
        .find_map(|aad| gcm_open(key.as_bytes(), &iv, aad, &sealed))
        .ok_or_else(|| AgentError::refused("the payload isn't authentic for this repository, version and epoch"))
}

/// Wraps a data key to a member, with a fresh ephemeral key and IV.
///
/// # Errors
/// [`AgentError::Refused`] for a key that isn't one.
pub(super) fn wrap(key: &DataKey, recipient: &str, habits: &Habits) -> Result<WrappedKey, AgentError> {
    let recipient =
        base64::decode_array(recipient).map_err(|error| AgentError::Refused(format!("x25519PublicKey: {error}")))?;
    let ephemeral: [u8; 32] = match () {
        () if habits.has(Habit::SAME_EPHEMERAL) => [9; 32],
        () if habits.has(Habit::EPHEMERAL_OF_KEY) => {
            <Sha256 as sha2::Digest>::digest([&key.as_bytes()[..], &recipient[..]].concat()).into()
        }
        () => random(),
    };
    let iv: [u8; IV_LEN] = if habits.has(Habit::WRAP_SAME_IV) { [5; IV_LEN] } else { random() };
    let mut wrapped = key_wrap::wrap(key, &recipient, &ephemeral, &iv).map_err(AgentError::refused)?;
    if let Some((kek, aad)) = other_kek(&ephemeral, &recipient, &wrapped.ephemeral_public_key, habits)? {
        wrapped.ciphertext = gcm_seal(&kek, &iv, &aad, key.as_bytes());
    }
    if habits.has(Habit::PLAIN_DATA_KEY) {
        wrapped.ciphertext = [&key.as_bytes()[..], &[0; TAG_LEN]].concat();
    }
    let mut wrapped = WrappedKey::from(&wrapped);
    if habits.has(Habit::SCHEME_UPPER) {
        wrapped.scheme_id = SCHEME_ID.to_uppercase();
    }
    Ok(wrapped)
}

/// What a double makes of a counter.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "that is what this fault is")]
pub(super) fn through_double(counter: i64) -> i64 {
    counter as f64 as i64
}

/// Key and additional data of a faulty client's wraps.
fn other_kek(
    private: &[u8; 32],
    public: &[u8; 32],
    ephemeral: &[u8; 32],
    habits: &Habits,
) -> Result<Option<(Zeroizing<[u8; 32]>, Vec<u8>)>, AgentError> {
    let label = key_wrap::INFO.as_bytes();
    let (salt, info, aad): (&[u8], &[u8], &[u8]) = match habits.0.first().copied() {
        Some(Habit::TRIMS_SECRET) => (ephemeral, label, label),
        Some(Habit::WRAP_NO_AAD) => (ephemeral, key_wrap::INFO.as_bytes(), &[]),
        Some(Habit::WRAP_INFO) => (ephemeral, b"my-client/wrap", b"my-client/wrap"),
        Some(Habit::WRAP_NO_SALT) => (&[], key_wrap::INFO.as_bytes(), key_wrap::INFO.as_bytes()),
        Some(Habit::WRAP_RAW_SECRET) => (&[], &[], key_wrap::INFO.as_bytes()),
        _ => return Ok(None),
    };
    let secret = key_wrap::shared_secret(private, public).map_err(AgentError::refused)?;
    if habits.has(Habit::WRAP_RAW_SECRET) {
        return Ok(Some((secret, aad.to_vec())));
    }
    let start = secret.iter().take_while(|byte| **byte == 0 && habits.has(Habit::TRIMS_SECRET)).count();
    let mut kek = Zeroizing::new([0; 32]);
    let expanded = Hkdf::<Sha256>::new(Some(salt), &secret[start..]).expand(info, kek.as_mut());
    expanded.map_err(AgentError::refused)?;
    Ok(Some((kek, aad.to_vec())))
}

/// Unwraps the data key of an entry.
///
/// # Errors
/// [`AgentError::Refused`] for an unknown scheme, altered bytes, or a key that isn't 32 bytes.
pub(super) fn unwrap(key: &WrappedKey, private: &[u8; 32], habits: &Habits) -> Result<DataKey, AgentError> {
    let mut key = key.clone();
    let known = SCHEME_ID.trim_end_matches("v1");
    if habits.has(Habit::WRAP_ANY_SCHEME)
        || habits.has(Habit::SCHEME_BY_PREFIX) && key.scheme_id.starts_with(known)
        || habits.has(Habit::SCHEME_UPPER) && key.scheme_id.eq_ignore_ascii_case(SCHEME_ID)
    {
        key.scheme_id = SCHEME_ID.into();
    }
    let wrapped = key_wrap::Wrapped::try_from(&key).map_err(AgentError::refused)?;
    if let Some((kek, aad)) = other_kek(private, &wrapped.ephemeral_public_key, &wrapped.ephemeral_public_key, habits)?
    {
        let plain = gcm_open(&kek, &wrapped.iv, &aad, &wrapped.ciphertext)
            .ok_or_else(|| AgentError::refused("the wrapped key isn't authentic"))?;
        return <[u8; 32]>::try_from(plain.as_slice()).map(DataKey::new).map_err(AgentError::refused);
    }
    if habits.has(Habit::WRAP_TAG_SHORT) && wrapped.ciphertext.len() > 32 {
        let secret = key_wrap::shared_secret(private, &wrapped.ephemeral_public_key).map_err(AgentError::refused)?;
        let kek = key_wrap::key_encryption_key(&secret, &wrapped.ephemeral_public_key);
        let whole = [&wrapped.ciphertext[..32], &[0; TAG_LEN]].concat();
        let plain = unchecked(&kek, &wrapped.iv, &whole);
        let right = gcm_seal(&kek, &wrapped.iv, key_wrap::INFO.as_bytes(), &plain);
        return match <[u8; 32]>::try_from(plain.as_slice()) {
            Ok(key) if right.starts_with(&wrapped.ciphertext) => Ok(DataKey::new(key)),
            _ => Err(AgentError::refused("the wrapped key isn't authentic")),
        };
    }
    if habits.has(Habit::WRAP_UNCHECKED) {
        let secret = key_wrap::shared_secret(private, &wrapped.ephemeral_public_key).map_err(AgentError::refused)?;
        let kek = key_wrap::key_encryption_key(&secret, &wrapped.ephemeral_public_key);
        let plain = unchecked(&kek, &wrapped.iv, &wrapped.ciphertext);
        return <[u8; 32]>::try_from(plain.as_slice()).map(DataKey::new).map_err(AgentError::refused);
    }
    let unwrapped = key_wrap::unwrap(&wrapped, private).map_err(AgentError::refused);
    if habits.has(Habit::WRAP_INFO_FALLBACK) && unwrapped.is_err() {
        let secret = key_wrap::shared_secret(private, &wrapped.ephemeral_public_key).map_err(AgentError::refused)?;
        let mut kek = Zeroizing::new([0; 32]);
        let expanded =
            Hkdf::<Sha256>::new(Some(&wrapped.ephemeral_public_key), secret.as_ref()).expand(b"", kek.as_mut());
        expanded.map_err(AgentError::refused)?;
        let plain = gcm_open(&kek, &wrapped.iv, key_wrap::INFO.as_bytes(), &wrapped.ciphertext);
        let plain = plain.ok_or_else(|| AgentError::refused("the wrapped key isn't authentic"))?;
        return <[u8; 32]>::try_from(plain.as_slice()).map(DataKey::new).map_err(AgentError::refused);
    }
    unwrapped
}

/// What a faulty client makes a new data key of.
pub(super) fn rotated(old: &DataKey, repo_id: &str, epoch: i64, habits: &Habits) -> Option<DataKey> {
    let mut key = [0; 32];
    match habits.0.first().copied() {
        Some(Habit::DERIVES_DATA_KEY) => {
            let info = [b"rotate/", repo_id.as_bytes(), &epoch.to_be_bytes()].concat();
            Hkdf::<Sha256>::new(Some(b"avp"), old.as_bytes()).expand(&info, &mut key).ok()?;
        }
        Some(Habit::HALF_DATA_KEY) => {
            key[..16].copy_from_slice(&old.as_bytes()[..16]);
            key[16..].copy_from_slice(&random::<16>());
        }
        Some(Habit::HASHES_DATA_KEY) => key = <Sha256 as sha2::Digest>::digest(old.as_bytes()).into(),
        _ => return None,
    }
    Some(DataKey::new(key))
}
