// An AVP client in TypeScript behind the adapter protocol of `avp-conform client --driver` (docs/clients.md). Node 22.18 or
// later, Deno and Bun run it as it is, `npx tsx` on older ones. The client is the class, the protocol is at the end.

import {
  createCipheriv, createDecipheriv, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync,
  randomBytes, randomUUID, sign, verify, type KeyObject,
} from "node:crypto";
import { createInterface } from "node:readline";

// Counters are int64, and numbers of JavaScript are exact up to 2^53 only: `parse` makes a bigint of what is longer.
type Counter = number | bigint;
type Members = Record<string, unknown>;
type Account = Members & { uuid: string };
type Payload = Members & { alts: Account[] };
type WrappedKey = { schemeId: string; ephemeralPublicKey: string; iv: string; ciphertext: string };
type Entry = {
  ed25519PublicKey: string; x25519PublicKey: string; wrappedDataKey: WrappedKey; keyEpoch: Counter; keyBindingSig?: string | null;
};
type Envelope = { repoId: string; payloadVersion: Counter; keyEpoch: Counter; iv: string; ciphertext: string };
type Manifest = { repoId: string; schemeId: string; keyEpoch: Counter; payloadVersion: Counter; members: Entry[] };
type Repo = { base: string; host: string; repoId: string; issuer?: string; keys: Map<string, string> };
type Opened = { manifest: Manifest; version: bigint; epoch: bigint; dataKey: Buffer; payload: Payload };
type JwkSet = { keys: { crv?: string; x: string }[] };

const SCHEME = "X25519-HKDF-SHA256-AESGCM-v1";
const LABEL = Buffer.from("avp/rdk-wrap/v1");

class Refused extends Error {}
class ServerSaysNo extends Error {
  status: number;
  constructor(status: number) {
    super(`status ${status}`);
    this.status = status;
  }
}

const b64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const unb64 = (text: string, size?: number) => {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text || (size !== undefined && bytes.length !== size)) throw new Refused("base64");
  return bytes;
};
const token = (value: Members) => Buffer.from(JSON.stringify(value)).toString("base64url");
const readToken = (text: string) => JSON.parse(Buffer.from(text, "base64url").toString());
const rawKey = (key: KeyObject) => Buffer.from(key.export({ format: "jwk" }).x!, "base64url");
const publicKey = (crv: string, raw: Uint8Array) =>
  createPublicKey({ key: { kty: "OKP", crv, x: Buffer.from(raw).toString("base64url") }, format: "jwk" });

// A long counter is read as a bigint from the text of the answer, and written into the text of the request.
function parse(text: string) {
  // Strings are copied as they are, so that nothing inside of one is taken for a member.
  const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?![\d.eE])|[\s\S]/g;
  const quoted = text.replace(tokens, (part) => (/^-?\d{16,}$/.test(part) ? `"\u0000${part}"`.replace("\u0000", "\\u0000") : part));
  return JSON.parse(quoted, (_, value) =>
    typeof value === "string" && value.startsWith("\u0000") ? BigInt(value.slice(1)) : value);
}
const write = (value: unknown) => {
  const text = JSON.stringify(value, (_, member) => (typeof member === "bigint" ? `\u0000${member}` : member));
  return text.replace(/"\\u0000(-?\d+)"/g, "$1");
};
const big = (value: Counter) => BigInt(value);

function gcm(key: Buffer, iv: Buffer, aad: Buffer, plain: Buffer) {
  const cipher = createCipheriv("aes-256-gcm", key, iv);
  cipher.setAAD(aad);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}
function ungcm(key: Buffer, iv: Buffer, aad: Buffer, sealed: Buffer) {
  if (sealed.length < 16) throw new Refused("too short");
  const decipher = createDecipheriv("aes-256-gcm", key, iv, { authTagLength: 16 });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(-16));
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()]);
  } catch {
    throw new Refused("not authentic");
  }
}
function aad(repo: string, version: bigint, epoch: bigint) {
  const counters = Buffer.alloc(16);
  counters.writeBigInt64BE(version, 0);
  counters.writeBigInt64BE(epoch, 8);
  return Buffer.concat([Buffer.from(repo), Buffer.from([0x1f]), counters]);
}
const kek = (secret: Buffer, ephemeral: Buffer) => Buffer.from(hkdfSync("sha256", secret, ephemeral, LABEL, 32));
function wrap(dataKey: Buffer, recipient: string): WrappedKey {
  const pair = generateKeyPairSync("x25519");
  const ephemeral = rawKey(pair.publicKey);
  const secret = diffieHellman({ privateKey: pair.privateKey, publicKey: publicKey("X25519", unb64(recipient, 32)) });
  const iv = randomBytes(12);
  const ciphertext = b64(gcm(kek(secret, ephemeral), iv, LABEL, dataKey));
  return { schemeId: SCHEME, ephemeralPublicKey: b64(ephemeral), iv: b64(iv), ciphertext };
}
function unwrap(wrapped: WrappedKey, privateKey: KeyObject) {
  if (wrapped.schemeId !== SCHEME) throw new Refused("unknown scheme");
  const ephemeral = unb64(wrapped.ephemeralPublicKey, 32);
  const secret = diffieHellman({ privateKey, publicKey: publicKey("X25519", ephemeral) });
  const key = ungcm(kek(secret, ephemeral), unb64(wrapped.iv, 12), LABEL, unb64(wrapped.ciphertext));
  if (key.length !== 32) throw new Refused("the data key isn't 32 bytes");
  return key;
}
const withProvenance = (account: Account): Account => ({ sourceClient: "driver.ts", sourceUser: null, ...account });

class Client {
  scheme: string;
  signing = generateKeyPairSync("ed25519");
  wrapping = generateKeyPairSync("x25519");
  id: string;
  x25519: string;
  tokens = new Map<string, string>();
  repos = new Map<string, Repo>();

  constructor(scheme: string) {
    this.scheme = scheme;
    this.id = b64(rawKey(this.signing.publicKey));
    this.x25519 = b64(rawKey(this.wrapping.publicKey));
  }

  async send(method: string, url: string, body?: unknown, bearer?: string) {
    const headers: Record<string, string> = {};
    if (body !== undefined) headers["content-type"] = "application/json";
    if (bearer !== undefined) headers.authorization = `Bearer ${bearer}`;
    // A redirect is an answer that isn't 2xx: nobody gets the token but the host that gave it.
    const options = { method, headers, redirect: "manual" as const, signal: AbortSignal.timeout(8000) };
    const answer = await fetch(url, { ...options, body: body === undefined ? undefined : write(body) });
    if (!answer.ok) throw new ServerSaysNo(answer.status);
    return parse(await answer.text());
  }

  async login(base: string) {
    const { nonce } = await this.send("POST", `${base}/api/auth/keypair/challenge`, { ed25519PublicKey: this.id });
    const signature = b64(sign(null, unb64(nonce), this.signing.privateKey));
    const body = { ed25519PublicKey: this.id, nonce, signature };
    this.tokens.set(base, (await this.send("POST", `${base}/api/auth/keypair/token`, body)).token);
  }

  async call(base: string, path: string, body: unknown) {
    if (!this.tokens.has(base)) await this.login(base);
    try {
      return await this.send("POST", base + path, body, this.tokens.get(base));
    } catch (error) {
      if (!(error instanceof ServerSaysNo) || error.status !== 401) throw error;
    }
    await this.login(base);
    return this.send("POST", base + path, body, this.tokens.get(base));
  }

  path = (repo: Repo, operation: string) => `/v1/repos/${encodeURIComponent(repo.repoId)}/${operation}`;
  entry = (dataKey: Buffer, id: string, x25519: string, epoch: bigint): Entry =>
    ({ ed25519PublicKey: id, x25519PublicKey: x25519, wrappedDataKey: wrap(dataKey, x25519), keyEpoch: epoch });

  seal(dataKey: Buffer, repoId: string, version: bigint, epoch: bigint, payload: Payload): Envelope {
    const iv = randomBytes(12);
    const text = Buffer.from(write({ ...payload, payloadVersion: version }));
    const ciphertext = b64(gcm(dataKey, iv, aad(repoId, version, epoch), text));
    return { repoId, payloadVersion: version, keyEpoch: epoch, iv: b64(iv), ciphertext };
  }

  remember(repo: Repo) {
    const name = `avp://${repo.host}/${repo.repoId}`;
    this.repos.set(name, repo);
    return name;
  }

  async create(url: string, accounts: Account[]) {
    const repo: Repo = { base: url.replace(/\/$/, ""), host: new URL(url).host, repoId: randomUUID(), keys: new Map() };
    const dataKey = randomBytes(32);
    const members = [this.entry(dataKey, this.id, this.x25519, 0n)];
    const manifest = { repoId: repo.repoId, schemeId: SCHEME, keyEpoch: 0n, payloadVersion: 1n, members };
    const initialEnvelope = this.seal(dataKey, repo.repoId, 1n, 0n, { alts: accounts.map(withProvenance) });
    await this.call(repo.base, "/v1/repos", { manifest, initialEnvelope });
    return this.remember(repo);
  }

  async open(repo: Repo): Promise<Opened> {
    const { manifest, envelope }: { manifest: Manifest; envelope?: Envelope } =
      await this.call(repo.base, this.path(repo, "pull"), { repoId: repo.repoId, knownPayloadVersion: -1 });
    if (envelope?.repoId !== repo.repoId || manifest.repoId !== repo.repoId) throw new Refused("another repository");
    if (manifest.schemeId !== SCHEME) throw new Refused("unknown scheme");
    const [version, epoch] = [big(envelope.payloadVersion), big(envelope.keyEpoch)];
    if (version !== big(manifest.payloadVersion) || epoch !== big(manifest.keyEpoch)) throw new Refused("manifest and envelope differ");
    const own = manifest.members.find((member) => member.ed25519PublicKey === this.id);
    if (!own) throw new Refused("not in the roster");
    const dataKey = unwrap(own.wrappedDataKey, this.wrapping.privateKey);
    const text = ungcm(dataKey, unb64(envelope.iv, 12), aad(repo.repoId, version, epoch), unb64(envelope.ciphertext));
    return { manifest, version, epoch, dataKey, payload: parse(text.toString()) };
  }

  async join(text: string) {
    const locator = readToken(text);
    if (locator.v !== 1) throw new Refused("locator");
    const { host, repoId } = locator;
    const repo: Repo = { base: `${this.scheme}://${host}`, host, repoId, issuer: locator.issuerJwksUrl, keys: new Map() };
    await this.open(repo);
    return this.remember(repo);
  }

  // Pull, apply, push; after a conflict all of it again.
  async put(repo: Repo, account: Account) {
    for (let tries = 0; tries < 5; tries++) {
      const { version, epoch, dataKey, payload } = await this.open(repo);
      payload.alts = [...payload.alts.filter((alt) => alt.uuid !== account.uuid), withProvenance(account)];
      const envelope = this.seal(dataKey, repo.repoId, version + 1n, epoch, payload);
      const body = { repoId: repo.repoId, envelope, expectedPayloadVersion: version };
      const answer = await this.call(repo.base, this.path(repo, "push"), body);
      if (answer.accepted) return answer.payloadVersion;
    }
    throw new Refused("somebody else was faster five times in a row");
  }

  async invite(repo: Repo, text: string) {
    const { ed25519PublicKey: id, x25519PublicKey: x25519 } = readToken(text);
    unb64(id, 32);
    const { dataKey, epoch } = await this.open(repo);
    const member = this.entry(dataKey, id, x25519, epoch);
    await this.call(repo.base, this.path(repo, "add-member"), { repoId: repo.repoId, member });
    repo.keys.set(id, x25519);
    return token({ v: 1, host: repo.host, repoId: repo.repoId, schemeId: SCHEME, keyEpoch: Number(epoch) });
  }

  // Whether a served key is its member's: this client's own, told by the member, or vouched for by the issuer (§9).
  trusted({ ed25519PublicKey: id, x25519PublicKey: x25519, keyBindingSig }: Entry, repo: Repo, issuers?: KeyObject[]) {
    if (id === this.id) return x25519 === this.x25519;
    if (repo.keys.has(id)) return repo.keys.get(id) === x25519;
    if (!issuers) return true;
    const message = Buffer.from(`${id}|${x25519}`);
    return typeof keyBindingSig === "string" && issuers.some((key) => verify(null, message, key, unb64(keyBindingSig)));
  }

  async remove(repo: Repo, removed: string) {
    const { manifest, version, epoch, payload } = await this.open(repo);
    const stay = manifest.members.filter((member) => member.ed25519PublicKey !== removed);
    const set: JwkSet | undefined = repo.issuer ? await this.send("GET", repo.issuer) : undefined;
    const issuers = set?.keys.filter((key) => key.crv === "Ed25519").map((key) => publicKey("Ed25519", Buffer.from(key.x, "base64url")));
    if (!stay.every((entry) => this.trusted(entry, repo, issuers))) throw new Refused("a served key isn't its member's");
    const [dataKey, next] = [randomBytes(32), epoch + 1n];
    const rewrappedMembers = stay.map((old) =>
      ({ ...this.entry(dataKey, old.ed25519PublicKey, old.x25519PublicKey, next), keyBindingSig: old.keyBindingSig ?? null }));
    const rotatedEnvelope = this.seal(dataKey, repo.repoId, version + 1n, next, payload);
    const body = { repoId: repo.repoId, removedMemberId: removed, rotatedEnvelope, rewrappedMembers, newKeyEpoch: next };
    await this.call(repo.base, this.path(repo, "remove-member"), body);
    return next;
  }
}

const clients = new Map<string, Client>();

async function answer(request: any): Promise<unknown> {
  if (request.verb === "identity") {
    const client = new Client(request.scheme);
    clients.set(request.client, client);
    const keys = { ed25519PublicKey: client.id, x25519PublicKey: client.x25519 };
    return { ...keys, inviteRequest: token({ v: 1, ...keys }) };
  }
  const client = clients.get(request.client)!;
  const repo = client.repos.get(request.repo)!;
  switch (request.verb) {
    case "create": return { repo: await client.create(request.url, request.accounts) };
    case "join": return { repo: await client.join(request.locator) };
    case "read": return (await client.open(repo)).payload;
    case "put": return { payloadVersion: await client.put(repo, request.account) };
    case "invite": return { locator: await client.invite(repo, request.inviteRequest) };
    case "remove": return { keyEpoch: await client.remove(repo, request.memberId) };
    default: return undefined;
  }
}

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    let out: Members;
    try {
      const result = await answer(parse(line));
      out = result === undefined ? { error: "unsupported" } : { ok: result };
    } catch (error) {
      const { cause, message } = error as Error;
      const kind = error instanceof ServerSaysNo ? "server" : cause ? "transport" : "refused";
      out = { error: kind, message };
    }
    process.stdout.write(`${write(out)}\n`);
  }
}

void main();
