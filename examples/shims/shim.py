#!/usr/bin/env python3
"""A shim for avp-conform on Python's `cryptography` (OpenSSL): one line of JSON in, one line out. See README.md beside it.

    avp-conform codec --shim 'python3 examples/shims/shim.py'
"""
import base64
import hashlib
import hmac
import ipaddress
import json
import re
import sys

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCHEME = "X25519-HKDF-SHA256-AESGCM-v1"
INFO = b"avp/rdk-wrap/v1"
FIELD = 2**255 - 19
# Heights of the eight points of small order on the Ed25519 curve: OpenSSL takes them for keys.
SMALL_ORDER = {
    0,
    1,
    FIELD - 1,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
}


class Reject(Exception):
    """The input isn't valid."""


# Bytes and texts


def unbase64(text, size=None):
    """Padded standard base64, in its one canonical spelling."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", text):
        raise Reject("not base64")
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Reject(f"not base64: {error}")
    if base64.b64encode(data).decode() != text:
        raise Reject("not the canonical base64")
    if size is not None and len(data) != size:
        raise Reject(f"{len(data)} bytes instead of {size}")
    return data


def b64(data):
    return base64.b64encode(data).decode()


def unbase64url(text):
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise Reject("not base64url without padding")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise Reject(f"not base64url: {error}")
    if base64.urlsafe_b64encode(data).decode().rstrip("=") != text:
        raise Reject("not the canonical base64url")
    return data


def sized(data, size):
    if len(data) != size:
        raise Reject(f"{len(data)} bytes instead of {size}")
    return data


# SPEC section 4


def aad(repo_id, payload_version, key_epoch):
    counters = payload_version.to_bytes(8, "big", signed=True) + key_epoch.to_bytes(8, "big", signed=True)
    return repo_id.encode() + b"\x1f" + counters


def hkdf(ikm, salt, info, length):
    prk = hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()
    okm, block = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.new(prk, block + info + bytes([number]), hashlib.sha256).digest()
        okm += block
    return prk, okm[:length]


def x25519(private, public):
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # a shared secret of zeros
        raise Reject(str(error))


def x25519_public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def gcm_open(key, iv, ciphertext, data):
    try:
        return AESGCM(key).decrypt(iv, ciphertext, data)
    except (InvalidTag, ValueError) as error:
        raise Reject(f"authentication failed {error}")


def encrypt(q):
    data = aad(q["repoId"], q["payloadVersion"], q["keyEpoch"])
    key, iv = unbase64(q["keyB64"], 32), unbase64(q["ivB64"], 12)
    return {"ivB64": q["ivB64"], "ciphertextB64": b64(AESGCM(key).encrypt(iv, q["plaintextUtf8"].encode(), data))}


def decrypt(q):
    data = aad(q["repoId"], q["payloadVersion"], q["keyEpoch"])
    key, iv = unbase64(q["keyB64"], 32), unbase64(q["ivB64"], 12)
    return {"plaintextUtf8": gcm_open(key, iv, unbase64(q["ciphertextB64"]), data).decode()}


def key_encryption_key(private, public, ephemeral_public):
    secret = x25519(private, public)
    return hkdf(secret, ephemeral_public, INFO, 32)[1]


def wrap(q):
    data_key, recipient = unbase64(q["dataKeyB64"], 32), unbase64(q["recipientPublicKeyB64"], 32)
    private, iv = unbase64(q["ephemeralPrivateKeyB64"], 32), unbase64(q["ivB64"], 12)
    public = x25519_public(private)
    kek = key_encryption_key(private, recipient, public)
    ciphertext = AESGCM(kek).encrypt(iv, data_key, INFO)
    wrapped = {"schemeId": SCHEME, "ephemeralPublicKey": b64(public), "iv": b64(iv), "ciphertext": b64(ciphertext)}
    return {"wrappedKey": wrapped}


def unwrap(q):
    wrapped = q["wrappedKey"]
    if wrapped["schemeId"] != SCHEME:
        raise Reject("unknown scheme")
    private, public = unbase64(q["recipientPrivateKeyB64"], 32), unbase64(wrapped["ephemeralPublicKey"], 32)
    iv, ciphertext = unbase64(wrapped["iv"], 12), unbase64(wrapped["ciphertext"])
    kek = key_encryption_key(private, public, public)
    return {"dataKeyB64": b64(sized(gcm_open(kek, iv, ciphertext, INFO), 32))}


# Sections 3 and 9


def ed25519_public(seed):
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def sign(seed, message):
    return Ed25519PrivateKey.from_private_bytes(seed).sign(message)


def verify(public, message, signature):
    height = int.from_bytes(sized(public, 32), "little") & (2**255 - 1)
    if height >= FIELD or height in SMALL_ORDER:
        raise Reject("no key: a point beyond the field or of small order")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(sized(signature, 64), message)
    except (InvalidSignature, ValueError):
        raise Reject("the signature doesn't verify")


def binding_message(q):
    return q["ed25519PublicKey"] + "|" + q["x25519PublicKey"]


def verify_binding(q):
    issuer, signature = unbase64(q["issuerPublicKeyB64"], 32), unbase64(q["keyBindingSig"])
    verify(issuer, binding_message(q).encode(), signature)
    return {}


def verify_question(q):
    verify(bytes.fromhex(q["publicKeyHex"]), bytes.fromhex(q["messageHex"]), bytes.fromhex(q["signatureHex"]))
    return {}


# Sections 5 and 8


def is_int64(value):
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def encode_token(members):
    return b64_url(json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode())


def b64_url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode_token(token, required, optional):
    try:
        members = json.loads(unbase64url(token).decode())
    except ValueError as error:
        raise Reject(f"not JSON: {error}")
    if not isinstance(members, dict) or not is_int64(members.get("v")) or members["v"] != 1:
        raise Reject("not an object of version 1")
    for name, kind in {**required, **optional}.items():
        value = members.get(name)
        if value is None and name in required:
            raise Reject(f"{name} is missing")
        if value is not None and not (is_int64(value) if kind is int else isinstance(value, kind)):
            raise Reject(f"{name} has another type")
    unknown = set(members) - {"v"} - set(required) - set(optional)
    if unknown:
        raise Reject(f"unknown members {unknown}")
    return {"decoded": members}


INVITE = {"ed25519PublicKey": str, "x25519PublicKey": str}
PLACE = {"host": str, "repoId": str}
HINTS = {"schemeId": str, "keyEpoch": int, "issuerJwksUrl": str}


def encode_members(q, names):
    return {"token": encode_token({"v": 1, **{name: q[name] for name in names if q.get(name) is not None}})}


def parse_address(q):
    uri = q["uri"]
    if any(c.isspace() or ord(c) < 32 or 127 <= ord(c) < 160 for c in uri):
        raise Reject("blanks or control characters")
    match = re.fullmatch(r"(?i:avp)://(\[([^\]/]*)\]|[^/?#@:\\\[\]]+)(:[0-9]+)?/(.+)", uri)
    if not match:
        raise Reject("not avp://host/repoId")
    host, ipv6, port, repo_id = match[1], match[2], match[3] or "", match[4]
    if port and not 0 < int(port[1:]) < 65536:
        raise Reject("no port")
    if ipv6 is not None:
        try:
            ipaddress.IPv6Address(ipv6)
        except ValueError:
            raise Reject("no IPv6 address")
    return {"host": host + port, "repoId": repo_id}


ACCOUNT = {"uuid": str, "username": str, "accessToken": str, "type": str, "lastUsed": int}
BAN = {"banned": bool, "observedAt": int, "source": str, "detail": str}


def shaped(value, required, optional):
    if not isinstance(value, dict):
        raise Reject("not an object")
    for name, kind in required.items():
        if not (is_int64(value.get(name)) if kind is int else isinstance(value.get(name), kind)):
            raise Reject(f"{name} is missing or has another type")
    return {**{name: value[name] for name in required}, **{name: value.get(name) for name in optional}}


def parse_payload(q):
    try:
        payload = json.loads(q["plaintextUtf8"])
    except ValueError as error:
        raise Reject(f"not JSON: {error}")
    result = shaped(payload, {"alts": list, "payloadVersion": int}, [])
    accounts = [shaped(alt, ACCOUNT, ["lastUsedBy", "ban", "sourceClient", "sourceUser"]) for alt in result["alts"]]
    for account in accounts:
        if account["type"] not in ("MICROSOFT", "COOKIE", "SESSION", "OFFLINE"):
            raise Reject("unknown type")
        if account["ban"] is not None:
            account["ban"] = shaped(account["ban"], BAN, ["observedBy"])
    return {"payload": {"alts": accounts, "payloadVersion": result["payloadVersion"]}}


def hkdf_question(q):
    if q["hash"] != "SHA-256":
        raise Unsupported(q["hash"])
    prk, okm = hkdf(bytes.fromhex(q["ikmHex"]), bytes.fromhex(q["saltHex"]), bytes.fromhex(q["infoHex"]), q["length"])
    return {"prkHex": prk.hex(), "okmHex": okm.hex()}


class Unsupported(Exception):
    """The shim can't do it."""


OPS = {
    "aad": lambda q: {"aadHex": aad(q["repoId"], q["payloadVersion"], q["keyEpoch"]).hex()},
    "encrypt": encrypt,
    "decrypt": decrypt,
    "wrap": wrap,
    "unwrap": unwrap,
    "x25519": lambda q: {"outputHex": x25519(bytes.fromhex(q["scalarHex"]), bytes.fromhex(q["uCoordinateHex"])).hex()},
    "x25519-public-key": lambda q: {"publicKeyB64": b64(x25519_public(unbase64(q["privateKeyB64"], 32)))},
    "hkdf": hkdf_question,
    "ed25519-public-key": lambda q: {"publicKeyHex": ed25519_public(bytes.fromhex(q["seedHex"])).hex()},
    "sign": lambda q: {"signatureHex": sign(bytes.fromhex(q["seedHex"]), bytes.fromhex(q["messageHex"])).hex()},
    "verify": verify_question,
    "sign-nonce": lambda q: {"signature": b64(sign(bytes.fromhex(q["seedHex"]), unbase64(q["nonce"])))},
    "binding-message": lambda q: {"messageUtf8": binding_message(q)},
    "verify-binding": verify_binding,
    "encode-invite": lambda q: encode_members(q, INVITE),
    "decode-invite": lambda q: decode_token(q["token"], INVITE, {}),
    "encode-locator": lambda q: encode_members(q, [*PLACE, *HINTS]),
    "decode-locator": lambda q: decode_token(q["token"], PLACE, HINTS),
    "parse-address": parse_address,
    "format-address": lambda q: {"uri": f"avp://{q['host']}/{q['repoId']}"},
    "parse-payload": parse_payload,
    "encode-base64": lambda q: {"base64": b64(bytes.fromhex(q["hex"]))},
    "decode-base64": lambda q: {"hex": unbase64(q["base64"]).hex()},
}


def answer(question):
    if question["op"] not in OPS:
        return {"unsupported": question["op"]}
    try:
        return {"result": OPS[question["op"]](question)}
    except Reject as refusal:
        return {"reject": str(refusal)}
    except Unsupported as missing:
        return {"unsupported": str(missing)}
    except Exception as error:  # a bug of the shim or of the codec behind it, not a refusal
        return {"error": repr(error)}


for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps({"id": asked["id"], **answer(asked)}), flush=True)
