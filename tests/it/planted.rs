//! Mistakes planted in the example shims: each is found. A shim whose interpreter or library isn't there is left out.

use std::path::Path;

use super::shims::{SHIMS, drive, java, node, python, with};

/// A mistake: what is replaced in a shim, and a check that has to fail by it.
struct Mistake {
    old: &'static str,
    new: &'static str,
    found_by: &'static [&'static str],
}

const fn mistake(old: &'static str, new: &'static str, found_by: &'static [&'static str]) -> Mistake {
    Mistake { old, new, found_by }
}

/// Plants every mistake in a shim of its own and sees that it is found.
fn plant(interpreter: &str, file: &str, mistakes: &[Mistake]) {
    let original = std::fs::read_to_string(Path::new(SHIMS).join(file)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    for mistake in mistakes {
        let Mistake { old, new, found_by } = mistake;
        let cases = if found_by.iter().any(|id| id.starts_with("differential/")) { "1500" } else { "0" };
        assert!(original.contains(old), "{file} has no {old:?} to plant a mistake in");
        std::fs::write(&path, original.replace(old, new)).unwrap();
        let (status, report) = drive(&format!("{interpreter} '{}'", path.display()), &["--cases", cases]);
        let failed = with(&report, "fail");
        for id in *found_by {
            assert!(failed.contains_key(*id), "{old:?} → {new:?}: {id} doesn't fail, but {:?}", failed.keys());
        }
        assert_eq!(status, 1, "{old:?} → {new:?}");
    }
}

const PYTHON: &[Mistake] = &[
    // Additional data
    mistake(
        "counters = payload_version.to_bytes(8, \"big\"",
        "counters = payload_version.to_bytes(8, \"little\"",
        &["aad/version-1", "differential/aad"],
    ),
    mistake(
        "b\"\\x1f\" + counters",
        "counters",
        &["aad/ordinary", "payload-aead/1-bytes", "negative/payload-decrypt-no-separator"],
    ),
    mistake(
        "payload_version.to_bytes",
        "int(float(payload_version)).to_bytes",
        &["aad/version-2-53-plus-1", "payload-aead/version-beyond-double"],
    ),
    mistake("return repo_id.encode()", "return repo_id.strip().encode()", &["aad/blank-id"]),
    mistake(
        "return repo_id.encode()",
        "return __import__('unicodedata').normalize('NFC', repo_id).encode()",
        &["aad/decomposed-id", "differential/aad"],
    ),
    mistake("return repo_id.encode()", "return repo_id.replace('\\x1f', '').encode()", &["aad/separator-in-id"]),
    mistake("return repo_id.encode()", "return repo_id[:128].encode()", &["aad/long-id"]),
    mistake(" + key_epoch.to_bytes(8, \"big\", signed=True)", " + bytes(8)", &["aad/epoch-1", "payload-aead/many"]),
    // Wrapping
    mistake(
        "secret = x25519(private, public)",
        "secret = hashlib.sha256(x25519(private, public)).digest()",
        &["key-wrap/alice", "negative/key-unwrap-hashed-shared-secret", "differential/wrap"],
    ),
    mistake(
        "hkdf(secret, ephemeral_public, INFO, 32)",
        "hkdf(secret, b\"\", INFO, 32)",
        &["key-wrap/alice", "negative/key-unwrap-no-salt"],
    ),
    mistake(
        "hkdf(secret, ephemeral_public, INFO, 32)",
        "hkdf(secret, ephemeral_public, b\"\", 32)",
        &["key-wrap/alice", "negative/key-unwrap-no-info"],
    ),
    mistake("encrypt(iv, data_key, INFO)", "encrypt(iv, data_key, None)", &["key-wrap/alice"]),
    mistake("\"schemeId\": SCHEME", "\"schemeId\": \"v1\"", &["key-wrap/alice", "differential/wrap"]),
    // Tags, lengths and texts
    mistake(
        "return AESGCM(key).decrypt(iv, ciphertext, data)",
        "return __import__('cryptography.hazmat.primitives.ciphers', fromlist=['x']).Cipher(__import__('cryptography.hazmat.primitives.ciphers.algorithms', fromlist=['x']).AES(key), __import__('cryptography.hazmat.primitives.ciphers.modes', fromlist=['x']).CTR(iv + bytes([0, 0, 0, 2]))).decryptor().update(ciphertext[:-16])",
        &[
            "negative/payload-decrypt-last-bit-of-the-tag",
            "negative/key-unwrap-last-bit-of-the-tag",
            "differential/decrypt",
        ],
    ),
    mistake(
        "return base64.b64encode(data).decode()",
        "return base64.urlsafe_b64encode(data).decode()",
        &["base64/plus-and-slash", "differential/encode-base64"],
    ),
    mistake(
        "    if not isinstance(text, str) or not re.fullmatch",
        "    return base64.b64decode(text.replace('-', '+').replace('_', '/') + '==')\n    if not isinstance(text, str) or not re.fullmatch",
        &[
            "malformed/decode-base64-no-padding",
            "malformed/decode-base64-base64url-alphabet",
            "differential/decode-base64",
        ],
    ),
    mistake(
        "    if base64.b64encode(data).decode() != text:\n        raise Reject(\"not the canonical base64\")\n    if size is not None and len(data) != size:",
        "    if False:",
        &["negative/payload-decrypt-half-a-key"],
    ),
    // Signatures
    mistake(
        "sign(bytes.fromhex(q[\"seedHex\"]), unbase64(q[\"nonce\"]))",
        "sign(bytes.fromhex(q[\"seedHex\"]), q[\"nonce\"].encode())",
        &["auth-exchange/alice", "differential/sign-nonce"],
    ),
    mistake(
        "verify(sized(signature, 64), message)",
        "verify(sized(signature, 64)[:32] + (int.from_bytes(signature[32:], 'little') % (2**252 + 27742317777372353535851937790883648493)).to_bytes(32, 'little'), message)",
        &["negative/ed25519-verify-s-plus-the-group-order"],
    ),
    mistake(
        "    verify(issuer, binding_message(q).encode(), signature)",
        "    pass",
        &["malformed/verify-binding-another-x25519-key", "differential/verify-binding"],
    ),
    mistake(
        "q[\"ed25519PublicKey\"] + \"|\" + q[\"x25519PublicKey\"]",
        "q[\"x25519PublicKey\"] + \"|\" + q[\"ed25519PublicKey\"]",
        &["key-binding-message/alice", "key-binding-signature/alice"],
    ),
    // Tokens, addresses and payloads
    mistake("or members[\"v\"] != 1", "", &["malformed/decode-invite-v-2"]),
    mistake("if value is None and name in required:", "if False:", &["malformed/decode-locator-without-host"]),
    mistake(
        "return base64.urlsafe_b64encode(data).decode().rstrip(\"=\")",
        "return base64.urlsafe_b64encode(data).decode()",
        &["federation/locator-one-more-byte", "differential/encode-locator"],
    ),
    mistake(
        "\"repoId\": repo_id}",
        "\"repoId\": __import__('urllib.parse', fromlist=['x']).unquote(repo_id)}",
        &["federation/percent-escapes"],
    ),
    mistake("if port and not 0 < int(port[1:]) < 65536:", "if False:", &["malformed/parse-address-port-of-65536"]),
    mistake("{name: value.get(name) for name in optional}", "{name: value[name] for name in optional}", &[]),
];

#[test]
fn mistakes_planted_in_the_python_shim_are_found() {
    if python() {
        // The last one breaks instead of answering wrongly: a KeyError is no refusal, and the suite says it couldn't tell.
        let (last, wrong) = PYTHON.split_last().unwrap();
        plant("python3", "shim.py", wrong);
        let original = std::fs::read_to_string(Path::new(SHIMS).join("shim.py")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shim.py");
        std::fs::write(&path, original.replace(last.old, last.new)).unwrap();
        let (status, report) =
            drive(&format!("python3 '{}'", path.display()), &["--cases", "0", "--only", "payload/*"]);
        assert!(with(&report, "error")["payload/absent-optional-members"].contains("KeyError"));
        assert_eq!((status, report["verdict"].as_str()), (3, Some("incomplete")));
    }
}

const NODE: &[Mistake] = &[
    mistake(
        "const q = parseJson(line);",
        "const q = JSON.parse(line);",
        &["federation/locator-large-epoch", "federation/locator-max-epoch"],
    ),
    mistake("Buffer.from(q.repoId, \"utf8\")", "Buffer.from(q.repoId, \"latin1\")", &["aad/latin-id"]),
    mistake(
        "  if (bytes.toString(\"base64\") !== text) reject(\"not canonical base64\");\n",
        "",
        &["malformed/decode-base64-foreign-character-inside"],
    ),
    mistake("cipher.final(); } catch", "} catch", &["negative/payload-decrypt-first-bit-of-the-tag"]),
];

#[test]
fn mistakes_planted_in_the_node_shim_are_found() {
    if node() {
        plant("node", "shim.mjs", NODE);
    }
}

const JAVA: &[Mistake] = &[
    mistake(
        "            if (!b64(bytes).equals(text)) throw new Reject(\"not canonical base64\");\n",
        "",
        &["malformed/decode-base64-no-padding"],
    ),
    mistake(
        "hmac(ephemeral, x25519(secret, point))",
        "hmac(ephemeral, reversed(x25519(secret, point)))",
        &["key-wrap/alice", "negative/key-unwrap-shared-secret-reversed"],
    ),
];

#[test]
fn mistakes_planted_in_the_java_shim_are_found() {
    if java() {
        plant("java", "Shim.java", JAVA);
    }
}
