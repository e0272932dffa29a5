// A shim for avp-conform on the JDK's own cryptography (JCE, SunEC): one line of JSON in, one line out. See README.md beside it.
//
//     avp-conform codec --shim 'java examples/shims/Shim.java'
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPairGenerator;
import java.security.PrivateKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.interfaces.EdECPublicKey;
import java.security.spec.EdECPoint;
import java.security.spec.EdECPrivateKeySpec;
import java.security.spec.EdECPublicKeySpec;
import java.security.spec.NamedParameterSpec;
import java.security.spec.XECPrivateKeySpec;
import java.security.spec.XECPublicKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

public class Shim {
    static final String SCHEME = "X25519-HKDF-SHA256-AESGCM-v1";
    static final byte[] INFO = "avp/rdk-wrap/v1".getBytes(StandardCharsets.US_ASCII);
    static final BigInteger FIELD = BigInteger.TWO.pow(255).subtract(BigInteger.valueOf(19));
    // Heights of the points of small order on the Ed25519 curve.
    static final Set<BigInteger> SMALL_ORDER = Set.of(BigInteger.ZERO, BigInteger.ONE, FIELD.subtract(BigInteger.ONE),
            new BigInteger("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16),
            new BigInteger("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16));
    static final HexFormat HEX = HexFormat.of();

    static class Reject extends RuntimeException {
        Reject(String why) { super(why); }
    }

    static class Unsupported extends RuntimeException {
        Unsupported(String what) { super(what); }
    }

    // Bytes and texts

    static byte[] sized(byte[] bytes, int size) {
        if (bytes.length != size) throw new Reject(bytes.length + " bytes instead of " + size);
        return bytes;
    }

    // Padded standard base64 in its one canonical spelling: the JDK's decoder does without padding and minds no unused bits.
    static byte[] unbase64(Object text) {
        try {
            byte[] bytes = Base64.getDecoder().decode((String) text);
            if (!b64(bytes).equals(text)) throw new Reject("not canonical base64");
            return bytes;
        } catch (IllegalArgumentException error) {
            throw new Reject("not base64: " + error.getMessage());
        }
    }

    static byte[] unbase64(Object text, int size) { return sized(unbase64(text), size); }

    static String b64(byte[] bytes) { return Base64.getEncoder().encodeToString(bytes); }

    static byte[] unbase64url(String text) {
        try {
            byte[] bytes = Base64.getUrlDecoder().decode(text);
            if (!b64url(bytes).equals(text)) throw new Reject("not canonical base64url");
            return bytes;
        } catch (IllegalArgumentException error) {
            throw new Reject("not base64url: " + error.getMessage());
        }
    }

    static String b64url(byte[] bytes) { return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes); }

    static byte[] utf8(Object text) { return ((String) text).getBytes(StandardCharsets.UTF_8); }

    static String fromUtf8(byte[] bytes) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
        } catch (CharacterCodingException error) {
            throw new Reject("not UTF-8");
        }
    }

    static byte[] join(byte[]... parts) {
        ByteBuffer all = ByteBuffer.allocate(Arrays.stream(parts).mapToInt(part -> part.length).sum());
        for (byte[] part : parts) all.put(part);
        return all.array();
    }

    static byte[] reversed(byte[] bytes) {
        byte[] out = new byte[bytes.length];
        for (int i = 0; i < bytes.length; i++) out[i] = bytes[bytes.length - 1 - i];
        return out;
    }

    static byte[] hex(Map<String, Object> q, String name) { return HEX.parseHex((String) q.get(name)); }

    // SPEC section 4

    static byte[] aad(Map<String, Object> q) {
        byte[] counters = ByteBuffer.allocate(16).putLong((Long) q.get("payloadVersion")).putLong((Long) q.get("keyEpoch")).array();
        return join(utf8(q.get("repoId")), new byte[] {0x1f}, counters);
    }

    static byte[] hmac(byte[] key, byte[]... parts) throws GeneralSecurityException {
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(key.length == 0 ? new byte[32] : key, "HmacSHA256"));
        for (byte[] part : parts) mac.update(part);
        return mac.doFinal();
    }

    static byte[] expand(byte[] prk, byte[] info, int length) throws GeneralSecurityException {
        byte[] okm = new byte[0], block = new byte[0];
        for (int number = 1; okm.length < length; number++) {
            block = hmac(prk, block, info, new byte[] {(byte) number});
            okm = join(okm, block);
        }
        return Arrays.copyOf(okm, length);
    }

    static byte[] gcm(int mode, byte[] key, byte[] iv, byte[] aad, byte[] input) throws GeneralSecurityException {
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(mode, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, iv));
        cipher.updateAAD(aad);
        return cipher.doFinal(input);
    }

    static byte[] open(byte[] key, byte[] iv, byte[] aad, byte[] sealed) {
        if (sealed.length < 16) throw new Reject("shorter than a tag"); // the JDK throws an unchecked exception
        try {
            return gcm(Cipher.DECRYPT_MODE, key, iv, aad, sealed);
        } catch (GeneralSecurityException error) {
            throw new Reject(error.getMessage());
        }
    }

    static byte[] x25519(byte[] secret, byte[] point) {
        byte[] masked = sized(point, 32).clone();
        masked[31] &= 0x7f;
        try {
            KeyFactory factory = KeyFactory.getInstance("X25519");
            KeyAgreement agreement = KeyAgreement.getInstance("X25519");
            agreement.init(factory.generatePrivate(new XECPrivateKeySpec(NamedParameterSpec.X25519, sized(secret, 32))));
            BigInteger u = new BigInteger(1, reversed(masked)).mod(FIELD);
            agreement.doPhase(factory.generatePublic(new XECPublicKeySpec(NamedParameterSpec.X25519, u)), true);
            return agreement.generateSecret();
        } catch (GeneralSecurityException error) { // a point of small order
            throw new Reject(error.getMessage());
        }
    }

    static byte[] x25519Public(byte[] secret) {
        byte[] base = new byte[32];
        base[0] = 9;
        return x25519(secret, base);
    }

    static Map<String, Object> encrypt(Map<String, Object> q) throws GeneralSecurityException {
        byte[] key = unbase64(q.get("keyB64"), 32), iv = unbase64(q.get("ivB64"), 12);
        byte[] sealed = gcm(Cipher.ENCRYPT_MODE, key, iv, aad(q), utf8(q.get("plaintextUtf8")));
        return result("ivB64", b64(iv), "ciphertextB64", b64(sealed));
    }

    static Map<String, Object> decrypt(Map<String, Object> q) {
        byte[] key = unbase64(q.get("keyB64"), 32), iv = unbase64(q.get("ivB64"), 12);
        return result("plaintextUtf8", fromUtf8(open(key, iv, aad(q), unbase64(q.get("ciphertextB64")))));
    }

    static byte[] keyEncryptionKey(byte[] secret, byte[] point, byte[] ephemeral) throws GeneralSecurityException {
        return expand(hmac(ephemeral, x25519(secret, point)), INFO, 32);
    }

    static Map<String, Object> wrap(Map<String, Object> q) throws GeneralSecurityException {
        byte[] dataKey = unbase64(q.get("dataKeyB64"), 32), secret = unbase64(q.get("ephemeralPrivateKeyB64"), 32);
        byte[] ephemeral = x25519Public(secret), iv = unbase64(q.get("ivB64"), 12);
        byte[] kek = keyEncryptionKey(secret, unbase64(q.get("recipientPublicKeyB64"), 32), ephemeral);
        byte[] sealed = gcm(Cipher.ENCRYPT_MODE, kek, iv, INFO, dataKey);
        return result("wrappedKey", result("schemeId", SCHEME, "ephemeralPublicKey", b64(ephemeral), "iv", b64(iv), "ciphertext", b64(sealed)));
    }

    @SuppressWarnings("unchecked")
    static Map<String, Object> unwrap(Map<String, Object> q) throws GeneralSecurityException {
        Map<String, Object> wrapped = (Map<String, Object>) q.get("wrappedKey");
        if (!SCHEME.equals(wrapped.get("schemeId"))) throw new Reject("unknown scheme");
        byte[] ephemeral = unbase64(wrapped.get("ephemeralPublicKey"), 32);
        byte[] kek = keyEncryptionKey(unbase64(q.get("recipientPrivateKeyB64"), 32), ephemeral, ephemeral);
        byte[] key = open(kek, unbase64(wrapped.get("iv"), 12), INFO, unbase64(wrapped.get("ciphertext")));
        return result("dataKeyB64", b64(sized(key, 32)));
    }

    // Sections 3 and 9

    static byte[] ed25519Public(byte[] seed) throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("Ed25519");
        generator.initialize(NamedParameterSpec.ED25519, new SecureRandom() {
            @Override public void nextBytes(byte[] bytes) { System.arraycopy(seed, 0, bytes, 0, bytes.length); }
        });
        EdECPoint point = ((EdECPublicKey) generator.generateKeyPair().getPublic()).getPoint();
        byte[] height = point.getY().toByteArray();
        byte[] out = Arrays.copyOf(reversed(height), 32);
        if (point.isXOdd()) out[31] |= (byte) 0x80;
        return out;
    }

    static byte[] sign(byte[] seed, byte[] message) throws GeneralSecurityException {
        PrivateKey key = KeyFactory.getInstance("Ed25519").generatePrivate(new EdECPrivateKeySpec(NamedParameterSpec.ED25519, sized(seed, 32)));
        Signature signature = Signature.getInstance("Ed25519");
        signature.initSign(key);
        signature.update(message);
        return signature.sign();
    }

    static Map<String, Object> verify(byte[] key, byte[] message, byte[] signature) {
        byte[] bytes = sized(key, 32).clone();
        boolean odd = bytes[31] < 0;
        bytes[31] &= 0x7f;
        BigInteger height = new BigInteger(1, reversed(bytes));
        if (height.compareTo(FIELD) >= 0 || SMALL_ORDER.contains(height)) throw new Reject("no key: beyond the field or of small order");
        boolean right;
        try {
            EdECPublicKeySpec spec = new EdECPublicKeySpec(NamedParameterSpec.ED25519, new EdECPoint(odd, height));
            Signature verifier = Signature.getInstance("Ed25519");
            verifier.initVerify(KeyFactory.getInstance("Ed25519").generatePublic(spec));
            verifier.update(message);
            right = verifier.verify(sized(signature, 64));
        } catch (GeneralSecurityException error) {
            throw new Reject(error.getMessage());
        }
        if (!right) throw new Reject("the signature doesn't verify");
        return result();
    }

    static String bindingMessage(Map<String, Object> q) { return q.get("ed25519PublicKey") + "|" + q.get("x25519PublicKey"); }

    // Sections 5 and 8

    static final Map<String, Class<?>> INVITE = ordered("ed25519PublicKey", String.class, "x25519PublicKey", String.class);
    static final Map<String, Class<?>> PLACE = ordered("host", String.class, "repoId", String.class);
    static final Map<String, Class<?>> HINTS = ordered("schemeId", String.class, "keyEpoch", Long.class, "issuerJwksUrl", String.class);
    static final Map<String, Class<?>> NONE = Map.of();
    static final Map<String, Class<?>> ACCOUNT = ordered("uuid", String.class, "username", String.class, "accessToken", String.class,
            "type", String.class, "lastUsed", Long.class);
    static final Map<String, Class<?>> ACCOUNT_OPTIONAL = ordered("lastUsedBy", String.class, "ban", Map.class, "sourceClient", String.class,
            "sourceUser", String.class);
    static final Map<String, Class<?>> BAN = ordered("banned", Boolean.class, "observedAt", Long.class, "source", String.class, "detail", String.class);
    static final Map<String, Class<?>> BAN_OPTIONAL = ordered("observedBy", String.class);

    static Map<String, Object> encodeToken(Map<String, Object> q, List<Map<String, Class<?>>> names) {
        Map<String, Object> members = result("v", 1L);
        for (Map<String, Class<?>> group : names)
            for (String name : group.keySet())
                if (q.get(name) != null) members.put(name, q.get(name));
        return result("token", b64url(utf8(Json.write(members))));
    }

    // An object's members of the right types, absent ones as null.
    @SuppressWarnings("unchecked")
    static Map<String, Object> shaped(Object value, Map<String, Class<?>> required, Map<String, Class<?>> optional) {
        if (!(value instanceof Map)) throw new Reject("not an object");
        Map<String, Object> members = (Map<String, Object>) value, out = result();
        required.forEach((name, kind) -> {
            if (!kind.isInstance(members.get(name))) throw new Reject(name + " is missing or has another type");
            out.put(name, members.get(name));
        });
        optional.forEach((name, kind) -> {
            Object found = members.get(name);
            if (found != null && !kind.isInstance(found)) throw new Reject(name + " has another type");
            out.put(name, found);
        });
        return out;
    }

    static Map<String, Object> decodeToken(Map<String, Object> q, Map<String, Class<?>> required, Map<String, Class<?>> optional) {
        Object value = parsed(fromUtf8(unbase64url((String) q.get("token"))));
        Map<String, Object> members = shaped(value, required, optional);
        Map<?, ?> all = (Map<?, ?>) value;
        if (!Long.valueOf(1).equals(all.get("v"))) throw new Reject("not version 1");
        for (Object name : all.keySet())
            if (!name.equals("v") && !members.containsKey(name)) throw new Reject("unknown member " + name);
        members.put("v", 1L);
        return result("decoded", members);
    }

    static final Pattern ADDRESS = Pattern.compile("(?i:avp)://(\\[([^\\]/]*)\\]|[^/?#@:\\\\\\[\\]]+)(:[0-9]+)?/(.+)", Pattern.DOTALL);
    static final Pattern BLANK = Pattern.compile("[\\s\\p{Cntrl}\\u0080-\\u009f]", Pattern.UNICODE_CHARACTER_CLASS);

    static Map<String, Object> parseAddress(Map<String, Object> q) {
        String uri = (String) q.get("uri");
        Matcher match = ADDRESS.matcher(uri);
        if (BLANK.matcher(uri).find() || !match.matches()) throw new Reject("not avp://host/repoId");
        String port = match.group(3) == null ? "" : match.group(3);
        BigInteger number = port.isEmpty() ? BigInteger.ONE : new BigInteger(port.substring(1));
        if (number.signum() == 0 || number.bitLength() > 16) throw new Reject("no port");
        String ipv6 = match.group(2);
        if (ipv6 != null && !(ipv6.contains(":") && ipv6.matches("[0-9a-fA-F:.]+"))) throw new Reject("no IPv6 address");
        return result("host", match.group(1) + port, "repoId", match.group(4));
    }

    static Map<String, Object> parsePayload(Map<String, Object> q) {
        Object value = parsed((String) q.get("plaintextUtf8"));
        Map<String, Object> payload = shaped(value, ordered("alts", List.class, "payloadVersion", Long.class), NONE);
        List<Object> accounts = new ArrayList<>();
        for (Object alt : (List<?>) payload.get("alts")) {
            Map<String, Object> account = shaped(alt, ACCOUNT, ACCOUNT_OPTIONAL);
            if (!Set.of("MICROSOFT", "COOKIE", "SESSION", "OFFLINE").contains(account.get("type"))) throw new Reject("unknown type");
            if (account.get("ban") != null) account.put("ban", shaped(account.get("ban"), BAN, BAN_OPTIONAL));
            accounts.add(account);
        }
        payload.put("alts", accounts);
        return result("payload", payload);
    }

    static Object parsed(String text) {
        try {
            return Json.read(text);
        } catch (IllegalArgumentException error) {
            throw new Reject("not JSON: " + error.getMessage());
        }
    }

    static Map<String, Object> hkdf(Map<String, Object> q) throws GeneralSecurityException {
        if (!"SHA-256".equals(q.get("hash"))) throw new Unsupported((String) q.get("hash"));
        byte[] prk = hmac(hex(q, "saltHex"), hex(q, "ikmHex"));
        byte[] okm = expand(prk, hex(q, "infoHex"), ((Long) q.get("length")).intValue());
        return result("prkHex", HEX.formatHex(prk), "okmHex", HEX.formatHex(okm));
    }

    static Map<String, Object> carryOut(Map<String, Object> q) throws GeneralSecurityException {
        switch ((String) q.get("op")) {
            case "aad": return result("aadHex", HEX.formatHex(aad(q)));
            case "encrypt": return encrypt(q);
            case "decrypt": return decrypt(q);
            case "wrap": return wrap(q);
            case "unwrap": return unwrap(q);
            case "x25519": return result("outputHex", HEX.formatHex(x25519(hex(q, "scalarHex"), hex(q, "uCoordinateHex"))));
            case "x25519-public-key": return result("publicKeyB64", b64(x25519Public(unbase64(q.get("privateKeyB64"), 32))));
            case "hkdf": return hkdf(q);
            case "ed25519-public-key": return result("publicKeyHex", HEX.formatHex(ed25519Public(hex(q, "seedHex"))));
            case "sign": return result("signatureHex", HEX.formatHex(sign(hex(q, "seedHex"), hex(q, "messageHex"))));
            case "verify": return verify(hex(q, "publicKeyHex"), hex(q, "messageHex"), hex(q, "signatureHex"));
            case "sign-nonce": return result("signature", b64(sign(hex(q, "seedHex"), unbase64(q.get("nonce")))));
            case "binding-message": return result("messageUtf8", bindingMessage(q));
            case "verify-binding":
                return verify(unbase64(q.get("issuerPublicKeyB64"), 32), utf8(bindingMessage(q)), unbase64(q.get("keyBindingSig")));
            case "encode-invite": return encodeToken(q, List.of(INVITE));
            case "decode-invite": return decodeToken(q, INVITE, NONE);
            case "encode-locator": return encodeToken(q, List.of(PLACE, HINTS));
            case "decode-locator": return decodeToken(q, PLACE, HINTS);
            case "parse-address": return parseAddress(q);
            case "format-address": return result("uri", "avp://" + q.get("host") + "/" + q.get("repoId"));
            case "parse-payload": return parsePayload(q);
            case "encode-base64": return result("base64", b64(hex(q, "hex")));
            case "decode-base64": return result("hex", HEX.formatHex(unbase64(q.get("base64"))));
            default: throw new Unsupported((String) q.get("op"));
        }
    }

    static Map<String, Object> answer(Map<String, Object> q) {
        try {
            return result("id", q.get("id"), "result", carryOut(q));
        } catch (Reject refusal) {
            return result("id", q.get("id"), "reject", String.valueOf(refusal.getMessage()));
        } catch (Unsupported missing) {
            return result("id", q.get("id"), "unsupported", missing.getMessage());
        } catch (GeneralSecurityException | RuntimeException error) { // a bug of the shim or of the codec behind it, not a refusal
            return result("id", q.get("id"), "error", error.toString());
        }
    }

    @SuppressWarnings("unchecked")
    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.print(Json.write(answer((Map<String, Object>) Json.read(line))) + "\n");
            out.flush();
        }
    }

    static Map<String, Object> result(Object... pairs) {
        Map<String, Object> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) map.put((String) pairs[i], pairs[i + 1]);
        return map;
    }

    static Map<String, Class<?>> ordered(Object... pairs) {
        Map<String, Class<?>> map = new LinkedHashMap<>();
        for (int i = 0; i < pairs.length; i += 2) map.put((String) pairs[i], (Class<?>) pairs[i + 1]);
        return map;
    }

    /** As much JSON as the protocol needs. Integers are Long as far as 64 bits go. */
    static final class Json {
        private final String text;
        private int at;

        private Json(String text) { this.text = text; }

        static Object read(String text) {
            Json json = new Json(text);
            Object value = json.value();
            json.blanks();
            if (json.at != text.length()) throw json.bad();
            return value;
        }

        private IllegalArgumentException bad() { return new IllegalArgumentException("at character " + at); }

        private void blanks() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
        }

        private char peek() {
            blanks();
            if (at == text.length()) throw bad();
            return text.charAt(at);
        }

        private boolean take(char c) {
            if (peek() != c) return false;
            at++;
            return true;
        }

        private Object value() {
            switch (peek()) {
                case '{': return object();
                case '[': return array();
                case '"': return string();
                default: return literal();
            }
        }

        private Map<String, Object> object() {
            Map<String, Object> map = new LinkedHashMap<>();
            take('{');
            if (take('}')) return map;
            do {
                if (peek() != '"') throw bad();
                String name = string();
                if (!take(':')) throw bad();
                map.put(name, value());
            } while (take(','));
            if (!take('}')) throw bad();
            return map;
        }

        private List<Object> array() {
            List<Object> list = new ArrayList<>();
            take('[');
            if (take(']')) return list;
            do list.add(value()); while (take(','));
            if (!take(']')) throw bad();
            return list;
        }

        private String string() {
            StringBuilder out = new StringBuilder();
            for (at++; ; at++) {
                if (at >= text.length() || text.charAt(at) < ' ') throw bad();
                char c = text.charAt(at);
                if (c == '"') break;
                out.append(c == '\\' ? escape() : c);
            }
            at++;
            return out.toString();
        }

        private char escape() {
            at++;
            if (at >= text.length()) throw bad();
            int plain = "\"\\/bfnrt".indexOf(text.charAt(at));
            if (plain >= 0) return "\"\\/\b\f\n\r\t".charAt(plain);
            if (text.charAt(at) != 'u' || at + 4 >= text.length()) throw bad();
            at += 4;
            return (char) HexFormat.fromHexDigits(text, at - 3, at + 1);
        }

        private static final Pattern LITERAL = Pattern.compile("true|false|null|-?(?:0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?");

        private Object literal() {
            Matcher match = LITERAL.matcher(text).region(at, text.length());
            if (!match.lookingAt()) throw bad();
            at = match.end();
            String word = match.group();
            if (word.equals("null")) return null;
            if (word.equals("true") || word.equals("false")) return word.equals("true");
            if (match.group(1) != null || match.group(2) != null) return Double.valueOf(word);
            BigInteger number = new BigInteger(word);
            return number.bitLength() < 64 ? (Object) number.longValue() : number;
        }

        static String write(Object value) {
            StringBuilder out = new StringBuilder();
            write(value, out);
            return out.toString();
        }

        private static void write(Object value, StringBuilder out) {
            if (value instanceof Map<?, ?> map) {
                String separator = "{";
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    out.append(separator);
                    quote((String) entry.getKey(), out);
                    out.append(':');
                    write(entry.getValue(), out);
                    separator = ",";
                }
                out.append(map.isEmpty() ? "{}" : "}");
            } else if (value instanceof List<?> list) {
                out.append('[');
                for (int i = 0; i < list.size(); i++) {
                    if (i > 0) out.append(',');
                    write(list.get(i), out);
                }
                out.append(']');
            } else if (value instanceof String text) {
                quote(text, out);
            } else {
                out.append(value);
            }
        }

        private static void quote(String text, StringBuilder out) {
            out.append('"');
            for (char c : text.toCharArray()) {
                int plain = "\"\\\b\f\n\r\t".indexOf(c);
                if (plain >= 0) out.append('\\').append("\"\\bfnrt".charAt(plain));
                else if (c < ' ') out.append(String.format("\\u%04x", (int) c));
                else out.append(c);
            }
            out.append('"');
        }
    }
}
