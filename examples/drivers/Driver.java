// An AVP client for Java (17 or later, nothing to install) behind the adapter protocol of `avp-conform client --driver`
// (docs/clients.md). Cryptography and JSON are those of the shim beside it; what is here is the client.
//
//     javac -d target/driver examples/shims/Shim.java examples/drivers/Driver.java
//     avp-conform client --driver -- java -cp target/driver Driver
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Driver {
    static final SecureRandom RANDOM = new SecureRandom();
    static final HttpClient HTTP = http();
    static final Map<String, Driver> CLIENTS = new HashMap<>();

    static class ServerSaysNo extends RuntimeException {
        final int status;

        ServerSaysNo(int status) {
            super("status " + status);
            this.status = status;
        }
    }

    /** Where a repository is, and the keys that its members have told themselves. */
    record Repo(String base, String host, String id, String issuer, Map<String, String> keys) {}

    /** A repository as it was pulled and opened. */
    record Opened(Map<String, Object> manifest, long version, long epoch, byte[] dataKey, Map<String, Object> payload) {}

    final String scheme;
    final byte[] signing = random(32);
    final byte[] wrapping = random(32);
    final String id;
    final String x25519;
    final Map<String, String> tokens = new HashMap<>();
    final Map<String, Repo> repos = new HashMap<>();

    Driver(String scheme) throws GeneralSecurityException {
        this.scheme = scheme;
        this.id = Shim.b64(Shim.ed25519Public(signing));
        this.x25519 = Shim.b64(Shim.x25519Public(wrapping));
    }

    // A redirect is an answer that isn't 2xx: nobody gets the token but the host that gave it.
    static HttpClient http() {
        HttpClient.Builder builder = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER).connectTimeout(Duration.ofSeconds(8));
        String authority = System.getenv("AVP_CA_FILE");
        try {
            return authority == null ? builder.build() : builder.sslContext(trusting(Path.of(authority))).build();
        } catch (GeneralSecurityException | IOException error) {
            throw new IllegalStateException("AVP_CA_FILE " + authority + ": " + error.getMessage());
        }
    }

    static SSLContext trusting(Path authorities) throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var in = Files.newInputStream(authorities)) {
            for (Certificate certificate : CertificateFactory.getInstance("X.509").generateCertificates(in))
                store.setCertificateEntry("authority " + store.size(), certificate);
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    // Small things

    static byte[] random(int size) {
        byte[] bytes = new byte[size];
        RANDOM.nextBytes(bytes);
        return bytes;
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> object(Object value) {
        if (value instanceof Map) return (Map<String, Object>) value;
        throw new Shim.Reject("not an object");
    }

    static List<?> list(Object value) {
        if (value instanceof List<?> list) return list;
        throw new Shim.Reject("not an array");
    }

    static String text(Object value) {
        if (value instanceof String text) return text;
        throw new Shim.Reject("not a string");
    }

    static long counter(Object value) {
        if (value instanceof Long number) return number;
        throw new Shim.Reject("not an int64");
    }

    static String token(Map<String, Object> members) { return Shim.b64url(Shim.utf8(Shim.Json.write(members))); }

    static Map<String, Object> readToken(Object text) {
        return object(Shim.Json.read(Shim.fromUtf8(Shim.unbase64url(text(text)))));
    }

    static Map<String, Object> with(Map<String, Object> members, Object... pairs) {
        Map<String, Object> all = new LinkedHashMap<>(members);
        all.putAll(Shim.result(pairs));
        return all;
    }

    static Map<String, Object> withProvenance(Object account) {
        Map<String, Object> all = Shim.result("sourceClient", "Driver.java", "sourceUser", null);
        all.putAll(object(account));
        return all;
    }

    // HTTP and authentication (SPEC sections 3 and 6)

    static Map<String, Object> send(String method, String url, Object body, String bearer) throws IOException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofSeconds(8));
        if (body == null) request.method(method, HttpRequest.BodyPublishers.noBody());
        else request.method(method, HttpRequest.BodyPublishers.ofString(Shim.Json.write(body))).header("Content-Type", "application/json");
        if (bearer != null) request.header("Authorization", "Bearer " + bearer);
        HttpResponse<byte[]> answer;
        try {
            answer = HTTP.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
        } catch (InterruptedException error) {
            throw new IOException(error);
        }
        if (answer.statusCode() / 100 != 2) throw new ServerSaysNo(answer.statusCode());
        return object(Shim.Json.read(Shim.fromUtf8(answer.body())));
    }

    void login(String base) throws IOException, GeneralSecurityException {
        Object nonce = send("POST", base + "/api/auth/keypair/challenge", Shim.result("ed25519PublicKey", id), null).get("nonce");
        String signature = Shim.b64(Shim.sign(signing, Shim.unbase64(text(nonce))));
        Object body = Shim.result("ed25519PublicKey", id, "nonce", nonce, "signature", signature);
        tokens.put(base, text(send("POST", base + "/api/auth/keypair/token", body, null).get("token")));
    }

    // A token that isn't accepted any longer leads to one new login.
    Map<String, Object> call(String base, String path, Object body) throws IOException, GeneralSecurityException {
        if (!tokens.containsKey(base)) login(base);
        try {
            return send("POST", base + path, body, tokens.get(base));
        } catch (ServerSaysNo error) {
            if (error.status != 401) throw error;
        }
        login(base);
        return send("POST", base + path, body, tokens.get(base));
    }

    static String path(Repo repo, String operation) {
        return "/v1/repos/" + URLEncoder.encode(repo.id, StandardCharsets.UTF_8).replace("+", "%20") + "/" + operation;
    }

    // Envelopes and entries (sections 4 and 5)

    static Map<String, Object> counters(String repo, long version, long epoch) {
        return Shim.result("repoId", repo, "payloadVersion", version, "keyEpoch", epoch);
    }

    static Map<String, Object> seal(byte[] dataKey, String repo, long version, long epoch, Map<String, Object> payload)
            throws GeneralSecurityException {
        byte[] iv = random(12);
        Map<String, Object> bound = counters(repo, version, epoch);
        byte[] plain = Shim.utf8(Shim.Json.write(with(payload, "payloadVersion", version)));
        byte[] sealed = Shim.gcm(javax.crypto.Cipher.ENCRYPT_MODE, dataKey, iv, Shim.aad(bound), plain);
        return with(bound, "iv", Shim.b64(iv), "ciphertext", Shim.b64(sealed));
    }

    static Map<String, Object> entry(byte[] dataKey, String member, String x25519, long epoch) throws GeneralSecurityException {
        Map<String, Object> order = Shim.result("dataKeyB64", Shim.b64(dataKey), "recipientPublicKeyB64", x25519,
                "ephemeralPrivateKeyB64", Shim.b64(random(32)), "ivB64", Shim.b64(random(12)));
        Object wrapped = Shim.wrap(order).get("wrappedKey");
        return Shim.result("ed25519PublicKey", member, "x25519PublicKey", x25519, "wrappedDataKey", wrapped, "keyEpoch", epoch);
    }

    // Manifest, data key and payload, all checked to belong together.
    Opened open(Repo repo) throws IOException, GeneralSecurityException {
        Object ask = Shim.result("repoId", repo.id, "knownPayloadVersion", -1L);
        Map<String, Object> answer = call(repo.base, path(repo, "pull"), ask);
        Map<String, Object> manifest = object(answer.get("manifest")), envelope = object(answer.get("envelope"));
        if (!repo.id.equals(manifest.get("repoId")) || !repo.id.equals(envelope.get("repoId"))) throw new Shim.Reject("another repository");
        if (!Shim.SCHEME.equals(manifest.get("schemeId"))) throw new Shim.Reject("unknown scheme");
        long version = counter(envelope.get("payloadVersion")), epoch = counter(envelope.get("keyEpoch"));
        if (version != counter(manifest.get("payloadVersion")) || epoch != counter(manifest.get("keyEpoch")))
            throw new Shim.Reject("manifest and envelope differ");
        for (Object member : list(manifest.get("members"))) {
            if (!id.equals(object(member).get("ed25519PublicKey"))) continue;
            Map<String, Object> order = Shim.result("wrappedKey", object(object(member).get("wrappedDataKey")),
                    "recipientPrivateKeyB64", Shim.b64(wrapping));
            byte[] dataKey = Shim.unbase64(Shim.unwrap(order).get("dataKeyB64"), 32);
            byte[] plain = Shim.open(dataKey, Shim.unbase64(text(envelope.get("iv")), 12),
                    Shim.aad(counters(repo.id, version, epoch)), Shim.unbase64(text(envelope.get("ciphertext"))));
            return new Opened(manifest, version, epoch, dataKey, object(Shim.Json.read(Shim.fromUtf8(plain))));
        }
        throw new Shim.Reject("not in the roster");
    }

    // The verbs

    String remember(Repo repo) {
        String name = "avp://" + repo.host + "/" + repo.id;
        repos.put(name, repo);
        return name;
    }

    String create(String url, List<?> accounts) throws IOException, GeneralSecurityException {
        String base = url.replaceAll("/$", "");
        Repo repo = new Repo(base, URI.create(base).getAuthority(), UUID.randomUUID().toString(), null, new HashMap<>());
        byte[] dataKey = random(32);
        List<Object> alts = new ArrayList<>();
        for (Object account : accounts) alts.add(withProvenance(account));
        Object manifest = with(counters(repo.id, 1, 0), "schemeId", Shim.SCHEME, "members", List.of(entry(dataKey, id, x25519, 0)));
        Object envelope = seal(dataKey, repo.id, 1, 0, Shim.result("alts", alts));
        call(base, "/v1/repos", Shim.result("manifest", manifest, "initialEnvelope", envelope));
        return remember(repo);
    }

    String join(Object text) throws IOException, GeneralSecurityException {
        Map<String, Object> locator = readToken(text);
        if (counter(locator.get("v")) != 1) throw new Shim.Reject("locator");
        String host = text(locator.get("host"));
        Repo repo = new Repo(scheme + "://" + host, host, text(locator.get("repoId")), (String) locator.get("issuerJwksUrl"), new HashMap<>());
        open(repo);
        return remember(repo);
    }

    // Pull, apply, push; after a conflict all of it again.
    long put(Repo repo, Map<String, Object> account) throws IOException, GeneralSecurityException {
        for (int tries = 0; tries < 5; tries++) {
            Opened now = open(repo);
            List<Object> alts = new ArrayList<>();
            for (Object alt : list(now.payload.get("alts")))
                if (!account.get("uuid").equals(object(alt).get("uuid"))) alts.add(alt);
            alts.add(withProvenance(account));
            Object envelope = seal(now.dataKey, repo.id, now.version + 1, now.epoch, with(now.payload, "alts", alts));
            Object body = Shim.result("repoId", repo.id, "envelope", envelope, "expectedPayloadVersion", now.version);
            Map<String, Object> answer = call(repo.base, path(repo, "push"), body);
            if (Boolean.TRUE.equals(answer.get("accepted"))) return counter(answer.get("payloadVersion"));
        }
        throw new Shim.Reject("somebody else was faster five times in a row");
    }

    String invite(Repo repo, Object text) throws IOException, GeneralSecurityException {
        Map<String, Object> request = readToken(text);
        String member = text(request.get("ed25519PublicKey")), key = text(request.get("x25519PublicKey"));
        Shim.unbase64(member, 32);
        Opened now = open(repo);
        Object body = Shim.result("repoId", repo.id, "member", entry(now.dataKey, member, key, now.epoch));
        call(repo.base, path(repo, "add-member"), body);
        repo.keys.put(member, key);
        return token(Shim.result("v", 1L, "host", repo.host, "repoId", repo.id, "schemeId", Shim.SCHEME, "keyEpoch", now.epoch));
    }

    // Whether a served key is its member's: this client's own, told by the member, or vouched for by the issuer (section 9).
    boolean trusted(Map<String, Object> entry, Repo repo, List<?> issuers) {
        String member = text(entry.get("ed25519PublicKey")), key = text(entry.get("x25519PublicKey"));
        if (member.equals(id)) return key.equals(x25519);
        if (repo.keys.containsKey(member)) return key.equals(repo.keys.get(member));
        if (issuers == null) return true;
        for (Object issuer : issuers) {
            try {
                byte[] signature = Shim.unbase64(text(entry.get("keyBindingSig")));
                Shim.verify(Shim.unbase64url(text(object(issuer).get("x"))), Shim.utf8(member + "|" + key), signature);
                return true;
            } catch (Shim.Reject error) {
                // Another key of the set may have signed it.
            }
        }
        return false;
    }

    long remove(Repo repo, String removed) throws IOException, GeneralSecurityException {
        Opened now = open(repo);
        List<?> issuers = repo.issuer == null ? null : list(send("GET", repo.issuer, null, null).get("keys"));
        byte[] dataKey = random(32);
        long next = now.epoch + 1;
        List<Object> stay = new ArrayList<>();
        for (Object member : list(now.manifest.get("members"))) {
            Map<String, Object> old = object(member);
            if (removed.equals(old.get("ed25519PublicKey"))) continue;
            if (!trusted(old, repo, issuers)) throw new Shim.Reject("a served key isn't its member's");
            Map<String, Object> fresh = entry(dataKey, text(old.get("ed25519PublicKey")), text(old.get("x25519PublicKey")), next);
            stay.add(with(fresh, "keyBindingSig", old.get("keyBindingSig")));
        }
        Object envelope = seal(dataKey, repo.id, now.version + 1, next, now.payload);
        Object body = Shim.result("repoId", repo.id, "removedMemberId", removed, "rotatedEnvelope", envelope,
                "rewrappedMembers", stay, "newKeyEpoch", next);
        call(repo.base, path(repo, "remove-member"), body);
        return next;
    }

    static Map<String, Object> answer(Map<String, Object> request) throws IOException, GeneralSecurityException {
        String name = text(request.get("client")), verb = text(request.get("verb"));
        if (verb.equals("identity")) {
            Driver client = new Driver(text(request.get("scheme")));
            CLIENTS.put(name, client);
            Map<String, Object> keys = Shim.result("ed25519PublicKey", client.id, "x25519PublicKey", client.x25519);
            return with(keys, "inviteRequest", token(with(keys, "v", 1L)));
        }
        Driver client = CLIENTS.get(name);
        Repo repo = client.repos.get((String) request.get("repo"));
        switch (verb) {
            case "create": return Shim.result("repo", client.create(text(request.get("url")), list(request.get("accounts"))));
            case "join": return Shim.result("repo", client.join(request.get("locator")));
            case "read": return client.open(repo).payload;
            case "put": return Shim.result("payloadVersion", client.put(repo, object(request.get("account"))));
            case "invite": return Shim.result("locator", client.invite(repo, request.get("inviteRequest")));
            case "remove": return Shim.result("keyEpoch", client.remove(repo, text(request.get("memberId"))));
            default: return null;
        }
    }

    static Map<String, Object> error(String kind, Exception error) {
        return Shim.result("error", kind, "message", String.valueOf(error.getMessage()));
    }

    public static void main(String[] arguments) throws IOException {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            Map<String, Object> said;
            try {
                Map<String, Object> result = answer(object(Shim.Json.read(line)));
                said = result == null ? Shim.result("error", "unsupported") : Shim.result("ok", result);
            } catch (ServerSaysNo error) {
                said = error("server", error);
            } catch (IOException error) {
                said = error("transport", error);
            } catch (GeneralSecurityException | RuntimeException error) {
                said = error("refused", error);
            }
            out.print(Shim.Json.write(said) + "\n");
            out.flush();
        }
    }
}
