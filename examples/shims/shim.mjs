#!/usr/bin/env node
// A shim for avp-conform on node:crypto: one line of JSON in, one line out. See README.md beside it.
//
//     avp-conform codec --shim 'node examples/shims/shim.mjs'
import { createCipheriv, createDecipheriv, createHmac, createPrivateKey, createPublicKey, diffieHellman, sign, verify } from "node:crypto";
import { isIPv6 } from "node:net";
import { createInterface } from "node:readline";

const SCHEME = "X25519-HKDF-SHA256-AESGCM-v1";
const INFO = Buffer.from("avp/rdk-wrap/v1");
const FIELD = 2n ** 255n - 19n;
// Heights of the points of small order on the Ed25519 curve: OpenSSL takes them for keys.
const SMALL_ORDER = [
  0n, 1n, FIELD - 1n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
];

class Reject extends Error {}
class Unsupported extends Error {}
const reject = (why) => { throw new Reject(why); };

// JSON with integers of 64 bits: a number of JavaScript would lose those beyond 2^53. Large ones become BigInt on the way in, and
// stay digits on the way out.

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const MARK = "\u{f8ff}int:";

function parseJson(text) {
  JSON.parse(text); // so that what isn't JSON doesn't get past the marks
  const marked = text.replace(TOKEN, (token) => (/^-?\d{16,}$/.test(token) ? `"${MARK}${token}"` : token));
  return JSON.parse(marked, (_, value) =>
    typeof value === "string" && value.startsWith(MARK) ? BigInt(value.slice(MARK.length)) : value);
}

function toJson(value) {
  const text = JSON.stringify(value, (_, v) => (typeof v === "bigint" ? MARK + v : v));
  return text.replaceAll(new RegExp(`"${MARK}(-?\\d+)"`, "g"), "$1");
}

function int64(value) {
  if (typeof value === "bigint") return BigInt.asIntN(64, value) === value ? value : null;
  return Number.isSafeInteger(value) ? BigInt(value) : null;
}

// Bytes and texts

const b64 = (bytes) => Buffer.from(bytes).toString("base64");
const sized = (bytes, size) => (bytes.length === size ? bytes : reject(`${bytes.length} bytes instead of ${size}`));
const hex = (text) => Buffer.from(text, "hex");

// Padded standard base64 in its one canonical spelling; Buffer.from alone takes anything.
function unbase64(text, size) {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) reject("not canonical base64");
  return size === undefined ? bytes : sized(bytes, size);
}

function unbase64url(text) {
  const bytes = Buffer.from(text, "base64url");
  if (bytes.toString("base64url") !== text) reject("not canonical base64url");
  return bytes;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
function decodeUtf8(bytes) {
  try { return utf8.decode(bytes); } catch { return reject("not UTF-8"); }
}

// SPEC section 4

function aad(q) {
  const counters = Buffer.alloc(16);
  counters.writeBigInt64BE(int64(q.payloadVersion), 0);
  counters.writeBigInt64BE(int64(q.keyEpoch), 8);
  return Buffer.concat([Buffer.from(q.repoId, "utf8"), Buffer.from([0x1f]), counters]);
}

function hkdf(ikm, salt, info, length) {
  const hmac = (key, ...parts) => parts.reduce((h, part) => h.update(part), createHmac("sha256", key)).digest();
  const prk = hmac(salt.length ? salt : Buffer.alloc(32), ikm);
  let okm = Buffer.alloc(0), block = Buffer.alloc(0);
  for (let number = 1; okm.length < length; number++) {
    block = hmac(prk, block, info, Buffer.from([number]));
    okm = Buffer.concat([okm, block]);
  }
  return { prk, okm: okm.subarray(0, length) };
}

const der = (prefix, key) => Buffer.concat([hex(prefix), key]);
const privateKey = (oid, key) =>
  createPrivateKey({ key: der(`302e020100300506032b65${oid}04220420`, sized(key, 32)), format: "der", type: "pkcs8" });
const publicKey = (oid, key) =>
  createPublicKey({ key: der(`302a300506032b65${oid}032100`, sized(key, 32)), format: "der", type: "spki" });
const [X25519, ED25519] = ["6e", "70"];
const rawPublic = (oid, key) =>
  createPublicKey(privateKey(oid, key)).export({ format: "der", type: "spki" }).subarray(-32);

function x25519(secret, point) {
  try {
    return diffieHellman({ privateKey: privateKey(X25519, secret), publicKey: publicKey(X25519, point) });
  } catch (error) { // a shared secret of zeros
    return reject(error.message);
  }
}

function seal(key, iv, data, plaintext) {
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(data);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

function open(key, iv, data, sealed) {
  if (sealed.length < 16) reject("shorter than a tag");
  const cipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: 16 }).setAAD(data);
  cipher.setAuthTag(sealed.subarray(-16));
  const plaintext = cipher.update(sealed.subarray(0, -16));
  try { cipher.final(); } catch (error) { reject(error.message); }
  return plaintext;
}

function encrypt(q) {
  const sealed = seal(unbase64(q.keyB64, 32), unbase64(q.ivB64, 12), aad(q), Buffer.from(q.plaintextUtf8, "utf8"));
  return { ivB64: q.ivB64, ciphertextB64: b64(sealed) };
}

function decrypt(q) {
  return { plaintextUtf8: decodeUtf8(open(unbase64(q.keyB64, 32), unbase64(q.ivB64, 12), aad(q), unbase64(q.ciphertextB64))) };
}

const keyEncryptionKey = (secret, point, ephemeral) => hkdf(x25519(secret, point), ephemeral, INFO, 32).okm;

function wrap(q) {
  const dataKey = unbase64(q.dataKeyB64, 32), secret = unbase64(q.ephemeralPrivateKeyB64, 32);
  const ephemeral = rawPublic(X25519, secret), iv = unbase64(q.ivB64, 12);
  const kek = keyEncryptionKey(secret, unbase64(q.recipientPublicKeyB64, 32), ephemeral);
  const ciphertext = b64(seal(kek, iv, INFO, dataKey));
  return { wrappedKey: { schemeId: SCHEME, ephemeralPublicKey: b64(ephemeral), iv: b64(iv), ciphertext } };
}

function unwrap(q) {
  const wrapped = q.wrappedKey;
  if (wrapped.schemeId !== SCHEME) reject("unknown scheme");
  const ephemeral = unbase64(wrapped.ephemeralPublicKey, 32);
  const kek = keyEncryptionKey(unbase64(q.recipientPrivateKeyB64, 32), ephemeral, ephemeral);
  return { dataKeyB64: b64(sized(open(kek, unbase64(wrapped.iv, 12), INFO, unbase64(wrapped.ciphertext)), 32)) };
}

// Sections 3 and 9

const signed = (seed, message) => sign(null, message, privateKey(ED25519, seed));

function verified(key, message, signature) {
  const height = BigInt.asUintN(255, BigInt("0x" + Buffer.from(sized(key, 32)).reverse().toString("hex")));
  if (height >= FIELD || SMALL_ORDER.includes(height)) reject("no key: a point beyond the field or of small order");
  let right = false;
  try { right = verify(null, message, publicKey(ED25519, key), sized(signature, 64)); } catch (error) { reject(error.message); }
  return right ? {} : reject("the signature doesn't verify");
}

const bindingMessage = (q) => `${q.ed25519PublicKey}|${q.x25519PublicKey}`;

// Sections 5 and 8

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const KINDS = {
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  int64: (value) => int64(value) !== null,
  array: Array.isArray,
};

function parsed(text) {
  try { return parseJson(text); } catch (error) { return reject(`not JSON: ${error.message}`); }
}

const INVITE = { ed25519PublicKey: "string", x25519PublicKey: "string" };
const PLACE = { host: "string", repoId: "string" };
const HINTS = { schemeId: "string", keyEpoch: "int64", issuerJwksUrl: "string" };

function encodeToken(q, names) {
  const given = names.filter((name) => q[name] !== undefined && q[name] !== null);
  const members = { v: 1, ...Object.fromEntries(given.map((name) => [name, q[name]])) };
  return { token: Buffer.from(toJson(members), "utf8").toString("base64url") };
}

function decodeToken(token, required, optional) {
  const members = parsed(decodeUtf8(unbase64url(token)));
  if (!isObject(members) || members.v !== 1) reject("not an object of version 1");
  for (const [name, kind] of Object.entries({ ...required, ...optional })) {
    const value = members[name] ?? null;
    if (value === null ? name in required : !KINDS[kind](value)) reject(`${name} is missing or has another type`);
  }
  const known = ["v", ...Object.keys(required), ...Object.keys(optional)];
  if (Object.keys(members).some((name) => !known.includes(name))) reject("unknown members");
  return { decoded: members };
}

function parseAddress({ uri }) {
  if (/[\s\u0000-\u001f\u007f-\u009f]/u.test(uri)) reject("blanks or control characters");
  const [, host, ipv6, port = "", repoId] =
    /^avp:\/\/(\[([^\]\/]*)\]|[^\/?#@:\\\[\]]+)(:[0-9]+)?\/(.+)$/iu.exec(uri) ?? reject("not avp://host/repoId");
  if (port && !(Number(port.slice(1)) > 0 && Number(port.slice(1)) < 65536)) reject("no port");
  if (ipv6 !== undefined && !isIPv6(ipv6)) reject("no IPv6 address");
  return { host: host + port, repoId };
}

const ACCOUNT = { uuid: "string", username: "string", accessToken: "string", type: "string", lastUsed: "int64" };
const BAN = { banned: "boolean", observedAt: "int64", source: "string", detail: "string" };

function shaped(value, required, optional) {
  if (!isObject(value)) reject("not an object");
  const bad = Object.entries(required).find(([name, kind]) => !KINDS[kind](value[name]));
  if (bad) reject(`${bad[0]} is missing or has another type`);
  const names = [...Object.keys(required), ...optional];
  return Object.fromEntries(names.map((name) => [name, value[name] ?? null]));
}

function parsePayload(q) {
  const payload = shaped(parsed(q.plaintextUtf8), { alts: "array", payloadVersion: "int64" }, []);
  payload.alts = payload.alts.map((alt) => {
    const account = shaped(alt, ACCOUNT, ["lastUsedBy", "ban", "sourceClient", "sourceUser"]);
    if (!["MICROSOFT", "COOKIE", "SESSION", "OFFLINE"].includes(account.type)) reject("unknown type");
    if (account.ban) account.ban = shaped(account.ban, BAN, ["observedBy"]);
    return account;
  });
  return { payload };
}

function hkdfQuestion(q) {
  if (q.hash !== "SHA-256") throw new Unsupported(q.hash);
  const { prk, okm } = hkdf(hex(q.ikmHex), hex(q.saltHex), hex(q.infoHex), q.length);
  return { prkHex: prk.toString("hex"), okmHex: okm.toString("hex") };
}

const OPS = {
  "aad": (q) => ({ aadHex: aad(q).toString("hex") }),
  "encrypt": encrypt,
  "decrypt": decrypt,
  "wrap": wrap,
  "unwrap": unwrap,
  "x25519": (q) => ({ outputHex: x25519(hex(q.scalarHex), hex(q.uCoordinateHex)).toString("hex") }),
  "x25519-public-key": (q) => ({ publicKeyB64: b64(rawPublic(X25519, unbase64(q.privateKeyB64, 32))) }),
  "hkdf": hkdfQuestion,
  "ed25519-public-key": (q) => ({ publicKeyHex: rawPublic(ED25519, hex(q.seedHex)).toString("hex") }),
  "sign": (q) => ({ signatureHex: signed(hex(q.seedHex), hex(q.messageHex)).toString("hex") }),
  "verify": (q) => verified(hex(q.publicKeyHex), hex(q.messageHex), hex(q.signatureHex)),
  "sign-nonce": (q) => ({ signature: b64(signed(hex(q.seedHex), unbase64(q.nonce))) }),
  "binding-message": (q) => ({ messageUtf8: bindingMessage(q) }),
  "verify-binding": (q) => verified(unbase64(q.issuerPublicKeyB64, 32), Buffer.from(bindingMessage(q), "utf8"), unbase64(q.keyBindingSig)),
  "encode-invite": (q) => encodeToken(q, Object.keys(INVITE)),
  "decode-invite": (q) => decodeToken(q.token, INVITE, {}),
  "encode-locator": (q) => encodeToken(q, [...Object.keys(PLACE), ...Object.keys(HINTS)]),
  "decode-locator": (q) => decodeToken(q.token, PLACE, HINTS),
  "parse-address": parseAddress,
  "format-address": (q) => ({ uri: `avp://${q.host}/${q.repoId}` }),
  "parse-payload": parsePayload,
  "encode-base64": (q) => ({ base64: b64(hex(q.hex)) }),
  "decode-base64": (q) => ({ hex: unbase64(q.base64).toString("hex") }),
};

function answer(q) {
  if (!Object.hasOwn(OPS, q.op)) return { unsupported: q.op };
  try {
    return { result: OPS[q.op](q) };
  } catch (error) {
    if (error instanceof Reject) return { reject: error.message };
    if (error instanceof Unsupported) return { unsupported: error.message };
    return { error: String(error) }; // a bug of the shim or of the codec behind it, not a refusal
  }
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  const q = parseJson(line);
  process.stdout.write(toJson({ id: q.id, ...answer(q) }) + "\n");
}
