//! What another member would have written: a data key of the vault's own, wrapped to everybody, and a payload under it; right,
//! or wrong in one way.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes128Gcm, Aes256Gcm, Nonce};
use hkdf::Hkdf;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Bend;
use super::reading::bytes_of;
use crate::client::random;
use crate::codec::aad::Binding;
use crate::codec::key_wrap::{self, INFO, SCHEME_ID};
use crate::codec::{DataKey, base64};
use crate::wire::{EncryptedEnvelope, WrappedKey};

/// A scheme that doesn't exist.
pub const UNKNOWN_SCHEME: &str = "X448-HKDF-SHA512-AESGCM-v9";

/// A key of the vault's and where it holds.
#[derive(Clone)]
pub struct Forged {
    /// Repository.
    pub repo: String,
    /// Epoch.
    pub epoch: i64,
    /// The data key.
    pub key: DataKey,
    /// What the payload holds.
    pub payload: Value,
}

/// What AES-256-GCM makes of it.
fn gcm(key: &[u8; 32], iv: &[u8; 12], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    Aes256Gcm::new(key.into()).encrypt(&Nonce::from(*iv), Payload { msg: plain, aad }).unwrap_or_default()
}

fn gcm_128(key: &[u8], iv: &[u8; 12], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let cipher = Aes128Gcm::new_from_slice(key).ok();
    let sealed = cipher.and_then(|cipher| cipher.encrypt(&Nonce::from(*iv), Payload { msg: plain, aad }).ok());
    sealed.unwrap_or_default()
}

/// The accounts that the vault's member has written. Names and uuids are nowhere else.
pub fn payload(bend: Bend, name: &str, version: i64) -> Value {
    let account = |number: u32| {
        let mut account = json!({
            "uuid": random::uuid(), "username": format!("{name}{number}"), "accessToken": format!("token-of-{name}{number}"),
            "type": "MICROSOFT", "lastUsed": 1_700_000_000_000_i64 + i64::from(number), "lastUsedBy": null, "ban": null,
            "sourceClient": "other-client", "sourceUser": "somebody",
        });
        match bend {
            Bend::NoProvenance => {
                if let Some(members) = account.as_object_mut() {
                    members.remove("sourceClient");
                    members.remove("sourceUser");
                }
            }
            Bend::SparseAccounts => {
                account["sourceClient"] = Value::Null;
                account["sourceUser"] = Value::Null;
            }
            Bend::UnknownMembers => {
                account["note"] = "of a later client".into();
                account["ban"] = json!({
                    "banned": true, "observedAt": 1, "source": "s", "detail": "d", "observedBy": null, "until": "tomorrow",
                });
                account["refreshToken"] = format!("refresh-{name}{number}").into();
                account["expiresAt"] = 1_800_000_000_000_i64.into();
                account["bans"] = json!({ "play.example": { "banned": true, "observedAt": 1, "source": "s", "detail": "d", "observedBy": null } });
            }
            Bend::AllTypes => {
                account["type"] = ["MICROSOFT", "COOKIE", "SESSION", "OFFLINE"][(number as usize - 1) % 4].into()
            }
            Bend::BigTimes if number == 2 => {
                account["lastUsed"] = ((1_i64 << 53) + 1).into();
                account["ban"] = json!({ "banned": true, "observedAt": (1_i64 << 53) + 3, "source": "server", "detail": "x", "observedBy": null });
            }
            Bend::OddAccounts => odd(&mut account, number),
            _ if number == 2 => {
                account["ban"] = json!({ "banned": true, "observedAt": 1_690_000_000_000_i64, "source": "server", "detail": "x", "observedBy": null });
            }
            _ => {}
        }
        account
    };
    let count = match bend {
        Bend::EmptyPayload => 0,
        Bend::AllTypes => 4,
        Bend::OddAccounts => 6,
        Bend::ManyAccounts => 400,
        _ => 2,
    };
    let accounts: Vec<Value> = (1..=count).map(account).collect();
    let stamp = if bend == Bend::StampOther { version.wrapping_sub(3) } else { version };
    let mut payload = json!({ "alts": accounts, "payloadVersion": stamp });
    if bend == Bend::UnknownMembers {
        payload["schema"] = "later".into();
    }
    payload
}

/// What an account of another member may be like, though few are.
fn odd(account: &mut Value, number: u32) {
    let name = account["username"].as_str().unwrap_or_default().to_owned();
    match number {
        1 => account["username"] = format!("{name} \u{1f600}\u{10348}").into(),
        2 => account["username"] = format!("{name} e\u{301}\u{e9}\u{212b}\u{fb01}").into(),
        3 => account["username"] = format!(" {name} <b>&amp;\"\\\u{2028}\u{7f}% ").into(),
        4 => {
            account["accessToken"] = "".into();
            account["type"] = "OFFLINE".into();
            account["lastUsed"] = 0.into();
        }
        5 => account["lastUsedBy"] = base64::encode(&random::bytes::<32>()).into(),
        _ => {
            let by = base64::encode(&random::bytes::<32>());
            account["uuid"] = account["uuid"].as_str().unwrap_or_default().to_uppercase().into();
            account["ban"] = json!({ "banned": false, "observedAt": 0, "source": "", "detail": "", "observedBy": by });
        }
    }
}

/// Seals a payload at a place, wrong if the bend says so.
pub fn seal(bend: Bend, forged: &Forged, version: i64, text: &str) -> EncryptedEnvelope {
    let Forged { repo, epoch, key, .. } = forged;
    let (epoch, iv) = (*epoch, random::bytes::<12>());
    let other = "00000000-0000-4000-8000-000000000000";
    let of = |repo_id: &str, version, epoch| Binding { repo_id, payload_version: version, key_epoch: epoch }.to_aad();
    let joined = |middle: &[u8], version: &[u8], epoch: &[u8]| [repo.as_bytes(), middle, version, epoch].concat();
    let aad = match bend {
        Bend::AadVersion => of(repo, version - 1, epoch),
        Bend::AadNextVersion | Bend::HeaderVersion => of(repo, version + 1, epoch),
        Bend::AadEpoch => of(repo, version, epoch - 1),
        Bend::AadRepo | Bend::OtherRepo => of(other, version, epoch),
        Bend::AadNone => Vec::new(),
        Bend::AadLittleEndian => joined(&[0x1f], &version.to_le_bytes(), &epoch.to_le_bytes()),
        Bend::AadDecimal => joined(&[0x1f], version.to_string().as_bytes(), format!("|{epoch}").as_bytes()),
        Bend::AadNoSeparator => joined(&[], &version.to_be_bytes(), &epoch.to_be_bytes()),
        Bend::AadSwapped => of(repo, epoch, version),
        Bend::AadInt32 => joined(&[0x1f], &version.to_be_bytes()[4..], &epoch.to_be_bytes()[4..]),
        Bend::AadDecimals => format!("{repo}\u{1f}{version}\u{1f}{epoch}").into_bytes(),
        Bend::AadJson => format!("{repo}:{version}:{epoch}").into_bytes(),
        Bend::AadVersionless => joined(&[0x1f], &[], &epoch.to_be_bytes()),
        Bend::AadIdOnly => repo.as_bytes().to_vec(),
        Bend::AadNoEpoch => joined(&[0x1f], &version.to_be_bytes(), &[]),
        _ => of(repo, version, epoch),
    };
    let mut sealed = match bend {
        // Whoever takes a key of 16 bytes takes it for one of AES-128.
        Bend::ShortKey => gcm_128(&key.as_bytes()[..16], &iv, &aad, text.as_bytes()),
        _ => gcm(key.as_bytes(), &iv, &aad, text.as_bytes()),
    };
    let end = sealed.len();
    match bend {
        Bend::TagFlipped => sealed[end - 1] ^= 1,
        Bend::TagCut => sealed.truncate(end - 4),
        // A letter of the first credential becomes another one, so that what is read is still JSON.
        Bend::CiphertextFlipped => {
            let place = text.find("token-of-").unwrap_or(0);
            sealed[place] ^= 1;
        }
        Bend::RotatedGarbage => random::fill(&mut sealed),
        _ => {}
    }
    EncryptedEnvelope {
        repo_id: if bend == Bend::OtherRepo { other.into() } else { repo.clone() },
        payload_version: if bend == Bend::HeaderVersion { version + 1 } else { version },
        key_epoch: epoch,
        iv: base64::encode(&iv),
        ciphertext: base64::encode(&sealed),
    }
}

/// An ephemeral key with the secret that it shares with a recipient, of the kind that the bend asks for.
fn ephemeral(bend: Bend, recipient: &[u8; 32]) -> Option<([u8; 32], Zeroizing<[u8; 32]>)> {
    // One secret in 256 is such a one; that this many are none doesn't happen.
    for _ in 0..20_000 {
        let private = random::bytes::<32>();
        let secret = key_wrap::shared_secret(&private, recipient).ok()?;
        let fits = match bend {
            Bend::SecretZero => secret[0] == 0,
            Bend::SecretZeroEnd => secret[31] == 0,
            _ => true,
        };
        if fits {
            return Some((private, secret));
        }
    }
    None
}

/// Wraps the data key to a member, wrong if the bend says so. `None` for a key that nothing can be wrapped to.
pub fn wrap(bend: Bend, key: &DataKey, recipient: &str) -> Option<WrappedKey> {
    // A key with something before it, as in DER, is a key all the same: its form is another rule's.
    let recipient: [u8; 32] = bytes_of(recipient)?.last_chunk().copied()?;
    let iv = random::bytes::<12>();
    let (ephemeral, secret) = ephemeral(bend, &recipient)?;
    let public = key_wrap::public_key(&ephemeral);
    let right = key_wrap::key_encryption_key(&secret, &public);
    let info = INFO.as_bytes();
    let derived = |salt: &[u8], info: &[u8]| {
        let mut kek = [0; 32];
        Hkdf::<Sha256>::new(Some(salt), secret.as_ref()).expand(info, &mut kek).ok().map(|()| kek)
    };
    let (kek, aad): ([u8; 32], &[u8]) = match bend {
        Bend::WrapNoAad => (*right, b""),
        Bend::WrapLabel => (derived(&public, b"my-client/wrap")?, b"my-client/wrap"),
        Bend::WrapNoSalt => (derived(&[], info)?, info),
        Bend::WrapSaltRecipient => (derived(&recipient, info)?, info),
        Bend::WrapSha512 => {
            let mut kek = [0; 32];
            Hkdf::<sha2::Sha512>::new(Some(&public), secret.as_ref()).expand(info, &mut kek).ok()?;
            (kek, info)
        }
        Bend::WrapOtherInfo => (derived(&public, b"avp/rdk-wrap/v2")?, info),
        Bend::WrapExpandOnly => {
            let mut kek = [0; 32];
            Hkdf::<Sha256>::from_prk(secret.as_ref()).ok()?.expand(info, &mut kek).ok()?;
            (kek, info)
        }
        Bend::WrapSaltText => (derived(base64::encode(&public).as_bytes(), info)?, info),
        Bend::WrapNoInfo => (derived(&public, b"")?, info),
        Bend::WrapRawSecret => (*secret, info),
        Bend::WrapNoSaltAlone => (Sha256::digest(secret.as_ref()).into(), info),
        _ => (*right, info),
    };
    let plain = match bend {
        Bend::ShortKey => key.as_bytes()[..16].to_vec(),
        Bend::WrapKeyText => base64::encode(key.as_bytes()).into_bytes(),
        _ => key.as_bytes().to_vec(),
    };
    let mut ciphertext = gcm(&kek, &iv, aad, &plain);
    match bend {
        Bend::WrapTagCut => ciphertext.truncate(44),
        Bend::WrapTagStub => ciphertext.truncate(36),
        _ => {}
    }
    if bend == Bend::WrapTagFlipped
        && let Some(last) = ciphertext.last_mut()
    {
        *last ^= 1;
    }
    let scheme_id = match bend {
        Bend::UnknownScheme => UNKNOWN_SCHEME.into(),
        Bend::NextScheme => SCHEME_ID.replace("-v1", "-v2"),
        Bend::SchemeCase => SCHEME_ID.to_lowercase(),
        Bend::NoScheme => String::new(),
        _ => SCHEME_ID.into(),
    };
    Some(WrappedKey {
        scheme_id,
        ephemeral_public_key: base64::encode(&public),
        iv: base64::encode(&iv),
        ciphertext: base64::encode(&ciphertext),
    })
}
