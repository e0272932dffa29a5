//! Operations on keys and ciphertexts.

use hkdf::GenericHkdf;
use hkdf::hmac::Hmac;
use sha2::{Sha256, Sha384, Sha512};

use super::inputs::{array, bytes, refuse};
use super::{Evaluated, NoResult, Reading, hash_name, lenient};
use crate::codec::aad::Binding;
use crate::codec::key_wrap::{self, Wrapped};
use crate::codec::{DataKey, base64, envelope, key_binding, signature};
use crate::ground::hex;
use crate::vectors::fields::{FieldError, Fields, fields, hex, hex_array, integer, object, string};

fn binding(fields: &Fields) -> Result<Binding<'_>, FieldError> {
    Ok(Binding {
        repo_id: string(fields, "repoId")?,
        payload_version: integer(fields, "payloadVersion")?,
        key_epoch: integer(fields, "keyEpoch")?,
    })
}

pub(super) fn aad(input: &Fields) -> Evaluated {
    Ok(fields! { "aadHex": hex::encode(&binding(input)?.to_aad()) })
}

pub(super) fn encrypt(input: &Fields) -> Evaluated {
    let (binding, plaintext) = (binding(input)?, string(input, "plaintextUtf8")?);
    let (key, iv) = (DataKey::new(array(input, "keyB64")?), array(input, "ivB64")?);
    let ciphertext = envelope::seal(&key, &iv, &binding, plaintext.as_bytes()).map_err(refuse)?;
    Ok(fields! { "ivB64": base64::encode(&iv), "ciphertextB64": base64::encode(&ciphertext) })
}

pub(super) fn decrypt(input: &Fields, reading: Reading) -> Evaluated {
    let binding = binding(input)?;
    if reading == Reading::Lenient {
        return lenient::decrypt(input, &binding);
    }
    let (key, iv) = (DataKey::new(array(input, "keyB64")?), array(input, "ivB64")?);
    let plaintext = envelope::open(&key, &iv, &binding, &bytes(input, "ciphertextB64")?).map_err(refuse)?;
    let text = std::str::from_utf8(&plaintext).map_err(|_| NoResult::Reject("the plaintext isn't UTF-8".into()))?;
    Ok(fields! { "plaintextUtf8": text })
}

pub(super) fn wrap(input: &Fields) -> Evaluated {
    let data_key = DataKey::new(array(input, "dataKeyB64")?);
    let (recipient, ephemeral) = (array(input, "recipientPublicKeyB64")?, array(input, "ephemeralPrivateKeyB64")?);
    let wrapped = key_wrap::wrap(&data_key, &recipient, &ephemeral, &array(input, "ivB64")?).map_err(refuse)?;
    let wrapped = fields! {
        "schemeId": key_wrap::SCHEME_ID,
        "ephemeralPublicKey": base64::encode(&wrapped.ephemeral_public_key),
        "iv": base64::encode(&wrapped.iv),
        "ciphertext": base64::encode(&wrapped.ciphertext),
    };
    Ok(fields! { "wrappedKey": wrapped })
}

pub(super) fn unwrap(input: &Fields, reading: Reading) -> Evaluated {
    let wrapped = object(input, "wrappedKey")?;
    let scheme = string(wrapped, "schemeId")?;
    if reading == Reading::Strict && scheme != key_wrap::SCHEME_ID {
        return Err(NoResult::Reject(format!("schemeId {scheme:?} isn't known")));
    }
    let private = array(input, "recipientPrivateKeyB64")?;
    if reading == Reading::Lenient {
        return lenient::unwrap(wrapped, private);
    }
    let wrapped = Wrapped {
        ephemeral_public_key: array(wrapped, "ephemeralPublicKey")?,
        iv: array(wrapped, "iv")?,
        ciphertext: bytes(wrapped, "ciphertext")?,
    };
    let key = key_wrap::unwrap(&wrapped, &private).map_err(refuse)?;
    Ok(fields! { "dataKeyB64": base64::encode(key.as_bytes()) })
}

pub(super) fn x25519(input: &Fields, reading: Reading) -> Evaluated {
    let (scalar, point) = (hex_array(input, "scalarHex")?, hex_array(input, "uCoordinateHex")?);
    let output = x25519_dalek::x25519(scalar, point);
    if reading == Reading::Strict && output == [0; 32] {
        return Err(refuse(key_wrap::WrapError::SmallOrder));
    }
    Ok(fields! { "outputHex": hex::encode(&output) })
}

pub(super) fn x25519_public_key(input: &Fields) -> Evaluated {
    Ok(fields! { "publicKeyB64": base64::encode(&key_wrap::public_key(&array(input, "privateKeyB64")?)) })
}

pub(super) fn hkdf(input: &Fields) -> Evaluated {
    let hash = string(input, "hash")?;
    let (ikm, salt, info) = (hex(input, "ikmHex")?, hex(input, "saltHex")?, hex(input, "infoHex")?);
    let length = usize::try_from(integer(input, "length")?)
        .ok()
        .filter(|length| *length <= 255 * 64)
        .ok_or_else(|| FieldError::new("length", "isn't a length that HKDF can make"))?;
    macro_rules! derive {
        ($hash:ty) => {{
            let (prk, hkdf) = GenericHkdf::<Hmac<$hash>>::extract(Some(&salt), &ikm);
            let mut okm = vec![0; length];
            hkdf.expand(&info, &mut okm).map_err(refuse)?;
            Ok(fields! { "prkHex": hex::encode(&prk), "okmHex": hex::encode(&okm) })
        }};
    }
    match hash_name(hash).as_str() {
        "sha256" => derive!(Sha256),
        "sha384" => derive!(Sha384),
        "sha512" => derive!(Sha512),
        _ => {
            Err(NoResult::Malformed(FieldError::new("hash", format!("is {hash:?}, which this program can't compute"))))
        }
    }
}

pub(super) fn ed25519_public_key(input: &Fields) -> Evaluated {
    Ok(fields! { "publicKeyHex": hex::encode(&signature::public_key(&hex_array(input, "seedHex")?)) })
}

pub(super) fn sign(input: &Fields) -> Evaluated {
    let signed = signature::sign(&hex_array(input, "seedHex")?, &hex(input, "messageHex")?);
    Ok(fields! { "signatureHex": hex::encode(&signed) })
}

pub(super) fn verify(input: &Fields, reading: Reading) -> Evaluated {
    let sized =
        |name: &str, bytes: Vec<u8>| <[u8; 32]>::try_from(bytes).map_err(|_| refuse(format!("{name} isn't 32 bytes")));
    let (key, message) = (sized("publicKeyHex", hex(input, "publicKeyHex")?)?, hex(input, "messageHex")?);
    let signed = hex(input, "signatureHex")?;
    match reading {
        Reading::Strict => signature::verify(&key, &message, &signed).map_err(refuse)?,
        Reading::Lenient => lenient::verify(&key, &message, &signed)?,
    }
    Ok(Fields::new())
}

pub(super) fn sign_nonce(input: &Fields) -> Evaluated {
    let seed = hex_array(input, "seedHex")?;
    Ok(fields! { "signature": base64::encode(&signature::sign(&seed, &bytes(input, "nonce")?)) })
}

pub(super) fn verify_binding(input: &Fields) -> Evaluated {
    let (ed25519, x25519) = (string(input, "ed25519PublicKey")?, string(input, "x25519PublicKey")?);
    let issuer = array(input, "issuerPublicKeyB64")?;
    key_binding::verify(&issuer, ed25519, x25519, &bytes(input, "keyBindingSig")?).map_err(refuse)?;
    Ok(Fields::new())
}
