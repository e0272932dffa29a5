"""An AVP client in Python behind the adapter protocol of `avp-conform client --driver` (docs/clients.md).

Small enough to be read in one go: the client is `Client`, the protocol is `main`. Needs `cryptography`.
"""

import base64
import json
import os
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SCHEME = "X25519-HKDF-SHA256-AESGCM-v1"
LABEL = b"avp/rdk-wrap/v1"


class Refused(Exception):
    """Bytes that the protocol forbids to take."""


class ServerSaysNo(Exception):
    """An answer that isn't 2xx."""

    def __init__(self, status):
        super().__init__(f"status {status}")
        self.status = status


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text, size=None):
    data = base64.b64decode(text, validate=True)
    if b64(data) != text or (size is not None and len(data) != size):
        raise Refused("base64")
    return data


def token_of(value):
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(compact.encode()).decode().rstrip("=")


def read_token(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def raw(key):
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def aad(repo, version, epoch):
    return repo.encode() + b"\x1f" + version.to_bytes(8, "big", signed=True) + epoch.to_bytes(8, "big", signed=True)


def kek(secret, ephemeral):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=ephemeral, info=LABEL).derive(secret)


def wrap(data_key, recipient):
    ephemeral = X25519PrivateKey.generate()
    public = raw(ephemeral.public_key())
    secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(unb64(recipient, 32)))
    iv = os.urandom(12)
    sealed = AESGCM(kek(secret, public)).encrypt(iv, data_key, LABEL)
    return {"schemeId": SCHEME, "ephemeralPublicKey": b64(public), "iv": b64(iv), "ciphertext": b64(sealed)}


def unwrap(wrapped, private):
    if wrapped["schemeId"] != SCHEME:
        raise Refused("unknown scheme")
    public = unb64(wrapped["ephemeralPublicKey"], 32)
    secret = private.exchange(X25519PublicKey.from_public_bytes(public))
    data_key = AESGCM(kek(secret, public)).decrypt(unb64(wrapped["iv"], 12), unb64(wrapped["ciphertext"]), LABEL)
    if len(data_key) != 32:
        raise Refused("the data key isn't 32 bytes")
    return data_key


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """urllib would take the token wherever a redirect points to."""

    def redirect_request(self, *_):
        return None


class Client:
    def __init__(self, scheme):
        self.scheme = scheme
        self.sign_key = Ed25519PrivateKey.generate()
        self.wrap_key = X25519PrivateKey.generate()
        self.id = b64(raw(self.sign_key.public_key()))
        self.x25519 = b64(raw(self.wrap_key.public_key()))
        self.tokens = {}
        self.repos = {}
        context = ssl.create_default_context(cafile=os.environ.get("AVP_CA_FILE"))
        handlers = [NoRedirects(), urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({})]
        self.http = urllib.request.build_opener(*handlers)

    def send(self, method, url, body=None, token=None):
        headers = {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with self.http.open(request, timeout=8) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise ServerSaysNo(error.code) from None

    def login(self, base):
        nonce = self.send("POST", f"{base}/api/auth/keypair/challenge", {"ed25519PublicKey": self.id})["nonce"]
        signature = b64(self.sign_key.sign(unb64(nonce)))
        body = {"ed25519PublicKey": self.id, "nonce": nonce, "signature": signature}
        self.tokens[base] = self.send("POST", f"{base}/api/auth/keypair/token", body)["token"]

    def call(self, base, path, body):
        """A vault operation. A token that isn't accepted any longer leads to one new login."""
        if base not in self.tokens:
            self.login(base)
        try:
            return self.send("POST", base + path, body, self.tokens[base])
        except ServerSaysNo as error:
            if error.status != 401:
                raise
        self.login(base)
        return self.send("POST", base + path, body, self.tokens[base])

    def path(self, repo, operation):
        return f"/v1/repos/{urllib.parse.quote(repo['repoId'], safe='')}/{operation}"

    def entry(self, data_key, member, x25519, epoch):
        return {"ed25519PublicKey": member, "x25519PublicKey": x25519, "wrappedDataKey": wrap(data_key, x25519), "keyEpoch": epoch}

    def seal(self, data_key, repo_id, version, epoch, payload):
        iv = os.urandom(12)
        text = json.dumps({**payload, "payloadVersion": version}).encode()
        sealed = AESGCM(data_key).encrypt(iv, text, aad(repo_id, version, epoch))
        return {"repoId": repo_id, "payloadVersion": version, "keyEpoch": epoch, "iv": b64(iv), "ciphertext": b64(sealed)}

    def create(self, url, accounts):
        base, repo_id, data_key = url.rstrip("/"), str(uuid.uuid4()), os.urandom(32)
        manifest = {
            "repoId": repo_id, "schemeId": SCHEME, "keyEpoch": 0, "payloadVersion": 1,
            "members": [self.entry(data_key, self.id, self.x25519, 0)],
        }
        envelope = self.seal(data_key, repo_id, 1, 0, {"alts": [with_provenance(account) for account in accounts]})
        self.call(base, "/v1/repos", {"manifest": manifest, "initialEnvelope": envelope})
        return self.remember({"base": base, "host": urllib.parse.urlsplit(base).netloc, "repoId": repo_id, "keys": {}})

    def remember(self, repo):
        name = f"avp://{repo['host']}/{repo['repoId']}"
        self.repos[name] = repo
        return name

    def open(self, repo):
        """Manifest, data key and payload, all checked to belong together."""
        answer = self.call(repo["base"], self.path(repo, "pull"), {"repoId": repo["repoId"], "knownPayloadVersion": -1})
        manifest, envelope = answer["manifest"], answer.get("envelope")
        if not envelope or envelope["repoId"] != repo["repoId"] or manifest["repoId"] != repo["repoId"]:
            raise Refused("no envelope of this repository")
        if manifest["schemeId"] != SCHEME:
            raise Refused("unknown scheme")
        version, epoch = envelope["payloadVersion"], envelope["keyEpoch"]
        if (version, epoch) != (manifest["payloadVersion"], manifest["keyEpoch"]):
            raise Refused("manifest and envelope differ")
        own = next((m for m in manifest["members"] if m["ed25519PublicKey"] == self.id), None)
        if own is None:
            raise Refused("not in the roster")
        data_key = unwrap(own["wrappedDataKey"], self.wrap_key)
        bound = aad(repo["repoId"], version, epoch)
        text = AESGCM(data_key).decrypt(unb64(envelope["iv"], 12), unb64(envelope["ciphertext"]), bound)
        return manifest, data_key, json.loads(text)

    def join(self, token):
        locator = read_token(token)
        if locator.get("v") != 1:
            raise Refused("locator")
        repo = {"base": f"{self.scheme}://{locator['host']}", "host": locator["host"], "repoId": locator["repoId"],
                "issuer": locator.get("issuerJwksUrl"), "keys": {}}
        self.open(repo)
        return self.remember(repo)

    def put(self, repo, account):
        """Pull, apply, push; after a conflict all of it again."""
        for _ in range(5):
            manifest, data_key, payload = self.open(repo)
            account = with_provenance(account)
            others = [alt for alt in payload["alts"] if alt["uuid"] != account["uuid"]]
            payload["alts"] = others + [account]
            expected, epoch = manifest["payloadVersion"], manifest["keyEpoch"]
            envelope = self.seal(data_key, repo["repoId"], expected + 1, epoch, payload)
            body = {"repoId": repo["repoId"], "envelope": envelope, "expectedPayloadVersion": expected}
            answer = self.call(repo["base"], self.path(repo, "push"), body)
            if answer["accepted"]:
                return answer["payloadVersion"]
        raise Refused("somebody else was faster five times in a row")

    def invite(self, repo, token):
        request = read_token(token)
        manifest, data_key, _ = self.open(repo)
        member, x25519 = request["ed25519PublicKey"], request["x25519PublicKey"]
        unb64(member, 32)
        entry = self.entry(data_key, member, x25519, manifest["keyEpoch"])
        self.call(repo["base"], self.path(repo, "add-member"), {"repoId": repo["repoId"], "member": entry})
        repo["keys"][member] = x25519
        locator = {"v": 1, "host": repo["host"], "repoId": repo["repoId"], "schemeId": SCHEME, "keyEpoch": manifest["keyEpoch"]}
        return token_of(locator)

    def trusted(self, repo, entry):
        """Whether a served key is the member's: its own, told by the member, or vouched for by the issuer (section 9)."""
        member, x25519 = entry["ed25519PublicKey"], entry["x25519PublicKey"]
        if member == self.id:
            return x25519 == self.x25519
        if member in repo["keys"]:
            return x25519 == repo["keys"][member]
        if not repo.get("issuer"):
            return True
        message = f"{member}|{x25519}".encode()
        for key in self.send("GET", repo["issuer"])["keys"]:
            try:
                public = base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4))
                Ed25519PublicKey.from_public_bytes(public).verify(unb64(entry["keyBindingSig"]), message)
                return True
            except (InvalidSignature, KeyError, TypeError, ValueError):
                continue
        return False

    def remove(self, repo, member):
        manifest, _, payload = self.open(repo)
        stay = [entry for entry in manifest["members"] if entry["ed25519PublicKey"] != member]
        if not all(self.trusted(repo, entry) for entry in stay):
            raise Refused("a served key isn't its member's")
        data_key, epoch = os.urandom(32), manifest["keyEpoch"] + 1
        entries = []
        for old in stay:
            new = self.entry(data_key, old["ed25519PublicKey"], old["x25519PublicKey"], epoch)
            entries.append({**new, "keyBindingSig": old.get("keyBindingSig")})
        envelope = self.seal(data_key, repo["repoId"], manifest["payloadVersion"] + 1, epoch, payload)
        body = {"repoId": repo["repoId"], "removedMemberId": member, "rotatedEnvelope": envelope,
                "rewrappedMembers": entries, "newKeyEpoch": epoch}
        self.call(repo["base"], self.path(repo, "remove-member"), body)
        return epoch


def with_provenance(account):
    return {"sourceClient": "driver.py", "sourceUser": None, **account}


CLIENTS = {}


def answer(request):
    name, verb = request["client"], request["verb"]
    if verb == "identity":
        client = CLIENTS[name] = Client(request["scheme"])
        keys = {"v": 1, "ed25519PublicKey": client.id, "x25519PublicKey": client.x25519}
        return {"ed25519PublicKey": client.id, "x25519PublicKey": client.x25519, "inviteRequest": token_of(keys)}
    client = CLIENTS[name]
    if verb == "create":
        return {"repo": client.create(request["url"], request["accounts"])}
    if verb == "join":
        return {"repo": client.join(request["locator"])}
    repo = client.repos[request["repo"]]
    if verb == "read":
        return client.open(repo)[2]
    if verb == "put":
        return {"payloadVersion": client.put(repo, request["account"])}
    if verb == "invite":
        return {"locator": client.invite(repo, request["inviteRequest"])}
    if verb == "remove":
        return {"keyEpoch": client.remove(repo, request["memberId"])}
    return None


def main():
    for line in sys.stdin:
        try:
            result = answer(json.loads(line))
            out = {"error": "unsupported"} if result is None else {"ok": result}
        except (Refused, InvalidTag, ValueError, KeyError, TypeError) as error:
            out = {"error": "refused", "message": f"{type(error).__name__}: {error}"}
        except ServerSaysNo as error:
            out = {"error": "server", "message": str(error)}
        except OSError as error:
            out = {"error": "transport", "message": str(error)}
        print(json.dumps(out), flush=True)


if __name__ == "__main__":
    main()
