//! Everything that a library may have taken a published key for when it was handed it as a shared secret: RSA and EC keys in the forms in which
//! they lie in files, and every key as it stands in the key set.

use serde_json::Value;

use crate::codec::base64;

/// What a key of a key set may have been stored as, and what that is.
pub fn encodings(jwk: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let part = |name: &str| jwk.get(name).and_then(Value::as_str).and_then(|text| base64::decode_url(text).ok());
    let mut all = match jwk.get("kty").and_then(Value::as_str) {
        Some("RSA") => match (part("n"), part("e")) {
            (Some(n), Some(e)) => rsa(&n, &e),
            _ => Vec::new(),
        },
        Some("EC") => match (part("x"), part("y")) {
            (Some(x), Some(y)) => ec(jwk.get("crv").and_then(Value::as_str).unwrap_or_default(), &x, &y),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    let texts = ["n", "x", "y"].map(|name| jwk.get(name).and_then(Value::as_str));
    all.extend(texts.into_iter().flatten().map(|text| ("a member of the key set", text.as_bytes().to_vec())));
    let certificates = jwk.get("x5c").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    all.extend(certificates.take(1).flat_map(|text| {
        [("its certificate", text.as_bytes().to_vec()), ("its certificate in PEM", pem("CERTIFICATE", text, "\n"))]
    }));
    all
}

fn rsa(n: &[u8], e: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    // RFC 8017 A.1.1, and RFC 3279 §2.3.1 around it.
    let key = sequence(&[integer(n), integer(e)]);
    let algorithm = sequence(&[object(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]), vec![0x05, 0x00]]);
    let mut all = files(&sequence(&[algorithm, bits(&key)]));
    let text = base64::encode(&key);
    all.extend([("PKCS #1 in PEM", pem("RSA PUBLIC KEY", &text, "\n")), ("PKCS #1 in DER", key), ("n", n.to_vec())]);
    all
}

fn ec(curve: &str, x: &[u8], y: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let curve: &[u8] = match curve {
        "P-384" => &[0x2b, 0x81, 0x04, 0x00, 0x22],
        "P-521" => &[0x2b, 0x81, 0x04, 0x00, 0x23],
        "secp256k1" => &[0x2b, 0x81, 0x04, 0x00, 0x0a],
        _ => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07],
    };
    // RFC 5480 §2.
    let algorithm = sequence(&[object(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01]), object(curve)]);
    let point = [&[4], x, y].concat();
    let mut all = files(&sequence(&[algorithm, bits(&point)]));
    all.push(("the point", point));
    all
}

/// A SubjectPublicKeyInfo as it lies in files.
fn files(der: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let text = base64::encode(der);
    let file = pem("PUBLIC KEY", &text, "\n");
    let bare = file.trim_ascii_end().to_vec();
    let dos = pem("PUBLIC KEY", &text, "\r\n");
    vec![
        ("PEM", bare),
        ("PEM and a line break", file),
        ("PEM with CRLF", dos),
        ("DER", der.to_vec()),
        ("base64 of DER", text.into()),
    ]
}

/// RFC 7468: lines of 64 characters.
fn pem(label: &str, text: &str, end: &str) -> Vec<u8> {
    let lines: Vec<&str> = (0..text.len()).step_by(64).filter_map(|at| text.get(at..text.len().min(at + 64))).collect();
    format!("-----BEGIN {label}-----{end}{}{end}-----END {label}-----{end}", lines.join(end)).into_bytes()
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|&byte| byte != 0).unwrap_or(length.len() - 1)..];
    let mut out = vec![tag];
    if content.len() >= 128 {
        // At most eight bytes.
        out.push(0x80 | length.len() as u8);
    }
    out.extend_from_slice(length);
    out.extend_from_slice(content);
    out
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    der(0x30, &parts.concat())
}

fn object(id: &[u8]) -> Vec<u8> {
    der(0x06, id)
}

fn bits(content: &[u8]) -> Vec<u8> {
    der(0x03, &[&[0], content].concat())
}

/// A positive integer.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count().min(bytes.len().saturating_sub(1));
    let bytes = &bytes[zeros..];
    let sign: &[u8] = if bytes.first().is_some_and(|&byte| byte >= 0x80) { &[0] } else { &[] };
    der(0x02, &[sign, bytes].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn encoded(jwk: &Value, name: &str) -> Vec<u8> {
        encodings(jwk).into_iter().find(|(what, _)| *what == name).unwrap().1
    }

    /// The key of RFC 7515 A.3, as `openssl pkey -pubin` writes it.
    #[test]
    fn a_curve_key_is_written_as_openssl_does() {
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" });
        let expected = "-----BEGIN PUBLIC KEY-----\n\
            MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n\
            6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n\
            -----END PUBLIC KEY-----\n";
        assert_eq!(String::from_utf8(encoded(&jwk, "PEM and a line break")).unwrap(), expected);
    }

    #[test]
    fn an_rsa_key_is_der() {
        let n = [0xc5; 256];
        let jwk = json!({ "kty": "RSA", "n": base64::encode_url(&n), "e": "AQAB" });
        let key = encoded(&jwk, "PKCS #1 in DER");
        assert_eq!(key[..9], [0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00]);
        assert_eq!(key[key.len() - 5..], [0x02, 0x03, 0x01, 0x00, 0x01]);
        assert_eq!(encoded(&jwk, "DER")[..4], [0x30, 0x82, 0x01, 0x22]);
        assert!(encodings(&json!({ "kty": "RSA" })).is_empty());
    }
}
