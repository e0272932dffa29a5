//! Laws of the codecs: what goes in comes out, and nothing else is let in.

use avp_conform::codec::aad::Binding;
use avp_conform::codec::address::Address;
use avp_conform::codec::invite::InviteRequest;
use avp_conform::codec::jwt::{self, Jwt};
use avp_conform::codec::locator::RepoLocator;
use avp_conform::codec::payload::AltPayload;
use avp_conform::codec::{DataKey, address, base64, envelope, key_binding, key_wrap, signature};
use proptest::prelude::*;

proptest! {
    #[test]
    fn base64_round_trips_in_one_spelling(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = base64::encode(&bytes);
        prop_assert_eq!(base64::decode(&text).unwrap(), bytes.clone());
        let url = base64::encode_url(&bytes);
        prop_assert_eq!(base64::decode_url(&url).unwrap(), bytes);
        prop_assert!(!url.contains(['=', '+', '/']));
    }

    /// Whatever decodes is exactly what encoding gives back: there is no second spelling.
    #[test]
    fn base64_accepts_nothing_else(text in "[A-Za-z0-9+/=_\\- \n]{0,12}") {
        if let Ok(bytes) = base64::decode(&text) {
            prop_assert_eq!(base64::encode(&bytes), text.clone());
        }
        if let Ok(bytes) = base64::decode_url(&text) {
            prop_assert_eq!(base64::encode_url(&bytes), text);
        }
    }

    #[test]
    fn aad_has_its_layout(id in ".{0,40}", version: i64, epoch: i64) {
        let aad = Binding { repo_id: &id, payload_version: version, key_epoch: epoch }.to_aad();
        prop_assert_eq!(aad.len(), id.len() + 17);
        prop_assert_eq!(&aad[..id.len()], id.as_bytes());
        prop_assert_eq!(aad[id.len()], 0x1f);
        prop_assert_eq!(i64::from_be_bytes(aad[id.len() + 1..id.len() + 9].try_into().unwrap()), version);
        prop_assert_eq!(i64::from_be_bytes(aad[id.len() + 9..].try_into().unwrap()), epoch);
    }

    #[test]
    fn envelope_opens_only_as_it_was_sealed(
        key: [u8; 32], iv: [u8; 12], id in ".{0,20}", version: i64, epoch: i64,
        plaintext in prop::collection::vec(any::<u8>(), 0..300), bit in any::<prop::sample::Index>(),
    ) {
        let key = DataKey::new(key);
        let binding = Binding { repo_id: &id, payload_version: version, key_epoch: epoch };
        let mut sealed = envelope::seal(&key, &iv, &binding, &plaintext).unwrap();
        prop_assert_eq!(sealed.len(), plaintext.len() + 16);
        prop_assert_eq!(envelope::open(&key, &iv, &binding, &sealed).unwrap().to_vec(), plaintext);
        let other = Binding { payload_version: version.wrapping_add(1), ..binding.clone() };
        prop_assert!(envelope::open(&key, &iv, &other, &sealed).is_err());
        let bit = bit.index(sealed.len() * 8);
        sealed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(envelope::open(&key, &iv, &binding, &sealed).is_err());
    }

    #[test]
    fn envelope_survives_any_bytes(key: [u8; 32], iv: [u8; 12], bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let binding = Binding { repo_id: "", payload_version: 0, key_epoch: 0 };
        prop_assert!(envelope::open(&DataKey::new(key), &iv, &binding, &bytes).is_err());
    }

    #[test]
    fn jwt_round_trips(subject in ".{0,30}", seed: [u8; 32]) {
        let claims = serde_json::json!({ "sub": subject }).as_object().unwrap().clone();
        let header = serde_json::json!({ "alg": "EdDSA" }).as_object().unwrap().clone();
        let token = jwt::encode(&header, &claims, |input| signature::sign(&seed, input).to_vec());
        let read = Jwt::parse(&token).unwrap();
        prop_assert_eq!(read.subject(), Some(subject.as_str()));
        let public = signature::public_key(&seed);
        prop_assert!(signature::verify(&public, read.signing_input.as_bytes(), &read.signature).is_ok());
    }

    #[test]
    fn readers_of_text_never_panic(text in ".{0,80}") {
        let _ = Jwt::parse(&text);
        let _ = InviteRequest::decode(&text);
        let _ = RepoLocator::decode(&text);
        let _ = address::parse_server(&text);
        let _ = AltPayload::parse(text.as_bytes());
        if let Ok(address) = Address::parse(&format!("avp://{text}")) {
            prop_assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        }
    }

    #[test]
    fn join_tokens_round_trip(host in "[a-z.]{1,20}", id in ".{0,20}", epoch in any::<Option<i64>>(), key: [u8; 32]) {
        let locator = RepoLocator {
            v: 1, host, repo_id: id, scheme_id: None, key_epoch: epoch, issuer_jwks_url: None,
        };
        prop_assert_eq!(RepoLocator::decode(&locator.encode()).unwrap(), locator);
        let key_text = base64::encode(&key);
        let invite = InviteRequest { v: 1, ed25519_public_key: key_text.clone(), x25519_public_key: key_text };
        let read = InviteRequest::decode(&invite.encode()).unwrap();
        prop_assert_eq!(read.keys().unwrap(), (key, key));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn wrapped_keys_open_for_their_recipient_alone(
        key: [u8; 32], recipient: [u8; 32], other: [u8; 32], ephemeral: [u8; 32], iv: [u8; 12], bit in 0_usize..(48 * 8),
    ) {
        let key = DataKey::new(key);
        let wrapped = key_wrap::wrap(&key, &key_wrap::public_key(&recipient), &ephemeral, &iv).unwrap();
        prop_assert!(key_wrap::unwrap(&wrapped, &recipient).unwrap() == key);
        prop_assume!(key_wrap::public_key(&other) != key_wrap::public_key(&recipient));
        prop_assert!(key_wrap::unwrap(&wrapped, &other).is_err());
        let mut altered = wrapped;
        altered.ciphertext[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(key_wrap::unwrap(&altered, &recipient).is_err());
    }

    #[test]
    fn signatures_bind_key_and_message(seed: [u8; 32], message in prop::collection::vec(any::<u8>(), 0..100), bit in 0_usize..512) {
        let public = signature::public_key(&seed);
        let mut signed = signature::sign(&seed, &message);
        prop_assert!(signature::verify(&public, &message, &signed).is_ok());
        prop_assert!(key_binding::verify(&public, "a", "b", &signature::sign(&seed, b"a|b")).is_ok());
        signed[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(signature::verify(&public, &message, &signed).is_err());
    }
}
