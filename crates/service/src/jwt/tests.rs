//! What is no token of ours is none, however it is made (catalogue T50).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use serde_json::json;

use super::*;
use crate::FaceSettings;

const NOW: i64 = 1_795_341_600_500_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn settings() -> TokenSettings {
    FaceSettings::of("native").tokens
}

fn key() -> Key {
    Key::new(SECRET)
}

fn claims(json: Json) -> Map<String, Json> {
    json.as_object().unwrap().clone()
}

fn good() -> String {
    key()
        .sign(
            &settings(),
            "handle",
            claims(json!({ "sub": "anna" })),
            NOW,
            NOW + 60 * MICROS,
        )
        .unwrap()
}

// A token of these parts, signed as ours are with the key there is.
fn forged(header: &Json, payload: &Json, secret: &[u8]) -> String {
    let message = format!(
        "{}.{}",
        B64.encode(header.to_string()),
        B64.encode(payload.to_string())
    );
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret),
        message.as_bytes(),
    );
    format!("{message}.{}", B64.encode(tag))
}

fn header() -> Json {
    json!({ "typ": "at+jwt", "alg": "HS256", "sid": "handle" })
}

fn payload() -> Json {
    let now = NOW / MICROS;
    json!({ "sub": "anna", "iat": now, "exp": now + 60, "iss": "portreeve", "aud": "native" })
}

fn with(mut json: Json, name: &str, value: Json) -> Json {
    match value {
        Json::Null => json.as_object_mut().unwrap().shift_remove(name),
        value => json.as_object_mut().unwrap().insert(name.into(), value),
    };
    json
}

fn verified(token: &str) -> Option<Verified> {
    key().verify(&settings(), token, NOW)
}

#[test]
fn a_token_says_what_it_was_made_of() {
    let expires = (NOW + 60 * MICROS).div_euclid(MICROS) * MICROS;
    let expected = Verified {
        handle: "handle".into(),
        expires,
    };
    assert_eq!(verified(&good()).as_ref(), Some(&expected));
    assert_eq!(
        verified(&forged(&header(), &payload(), SECRET)),
        Some(expected)
    );
    let parts: Vec<_> = good()
        .split('.')
        .map(|part| B64.decode(part).unwrap())
        .collect();
    let said: Json = serde_json::from_slice(&parts[1]).unwrap();
    assert_eq!(said, payload());
}

#[test]
fn t50_headers_other_than_ours() {
    let mut forged_ones = vec![];
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS384")),
        ("alg", json!("HS512")),
        ("alg", json!("RS256")),
        ("alg", json!("ES256")),
        ("alg", json!("hs256")),
        ("alg", json!("")),
        ("alg", json!(["HS256"])),
        ("alg", Json::Null),
        ("typ", json!("JWT")),
        ("typ", json!("at+JWT")),
        ("typ", Json::Null),
        ("kid", json!("mine")),
        ("kid", json!("../../dev/null")),
        ("kid", json!("' UNION SELECT 'key")),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["AA=="])),
        ("x5t", json!("AA")),
        ("jwk", json!({ "kty": "oct", "k": B64.encode(SECRET) })),
        ("crit", json!(["exp"])),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
        ("extra", json!(1)),
        ("sid", json!(7)),
        ("sid", Json::Null),
    ] {
        forged_ones.push(forged(&with(header(), name, value), &payload(), SECRET));
    }
    for token in forged_ones {
        assert_eq!(verified(&token), None, "{token}");
    }
}

#[test]
fn t50_claims_other_than_ours() {
    let second = NOW / MICROS;
    for (name, value) in [
        ("iss", json!("other")),
        ("iss", json!(["portreeve"])),
        ("iss", Json::Null),
        ("aud", json!("kuzzle")),
        ("aud", json!(["native", "kuzzle"])),
        ("aud", Json::Null),
        ("exp", json!(second)),
        ("exp", json!(second - 1)),
        ("exp", json!(0)),
        ("exp", json!(-1)),
        ("exp", json!("9999999999")),
        ("exp", json!(1e300)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(second as f64 + 60.5)),
        ("nbf", json!(second + 1)),
        ("nbf", json!("0")),
        ("iat", Json::Null),
        ("iat", json!("now")),
    ] {
        let token = forged(&header(), &with(payload(), name, value), SECRET);
        assert_eq!(verified(&token), None, "{token}");
    }
    for (name, value) in [("exp", json!(second + 1)), ("nbf", json!(second))] {
        let token = forged(&header(), &with(payload(), name, value), SECRET);
        assert!(verified(&token).is_some(), "{name}");
    }
}

#[test]
fn t50_the_end_is_exact() {
    let token = good();
    let end = verified(&token).unwrap().expires;
    assert!(key().verify(&settings(), &token, end - 1).is_some());
    assert!(key().verify(&settings(), &token, end).is_none());
}

#[test]
fn t50_signatures_that_are_none() {
    let token = good();
    let (message, signature) = token.rsplit_once('.').unwrap();
    for bad in ["", "AA", "e30", &signature[1..], &B64.encode([0; 32])] {
        assert_eq!(verified(&format!("{message}.{bad}")), None, "{bad}");
    }
    // Any part cut off anywhere, and any character changed.
    for length in 0..token.len() {
        assert_eq!(verified(&token[..length]), None, "{length}");
    }
    for place in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[place] = if other[place] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert_eq!(verified(&other), None, "{place}");
    }
    for bad in [
        format!("{token}="),
        format!("{token}."),
        format!(" {token}"),
        format!("{token}\n"),
    ] {
        assert_eq!(verified(&bad), None);
    }
    // Nobody's key, an empty one, the public half of another algorithm.
    for secret in [
        &b""[..],
        b"-----BEGIN PUBLIC KEY-----",
        b"0123456789abcdef0123456789abcdeg",
    ] {
        assert_eq!(verified(&forged(&header(), &payload(), secret)), None);
    }
    let unsigned = with(header(), "alg", json!("none"));
    let bare = format!(
        "{}.{}.",
        B64.encode(unsigned.to_string()),
        B64.encode(payload().to_string())
    );
    assert_eq!(verified(&bare), None);
}

#[test]
fn what_a_face_says_stays_and_what_is_ours_is_ours() {
    let face = FaceSettings::of("strapi").tokens;
    let said = claims(json!({ "id": 7, "exp": 1, "iat": 2, "iss": "me", "aud": "you", "nbf": 9 }));
    let token = key()
        .sign(&face, "h", said, NOW, NOW + 10 * MICROS)
        .unwrap();
    let payload = B64.decode(token.split('.').nth(1).unwrap()).unwrap();
    let now = NOW / MICROS;
    assert_eq!(
        String::from_utf8(payload).unwrap(),
        format!("{{\"id\":7,\"iat\":{now},\"exp\":{}}}", now + 10)
    );
    // One that never ends has no end.
    let kuzzle = FaceSettings::of("kuzzle").tokens;
    let token = key()
        .sign(&kuzzle, "h", claims(json!({ "_id": "k" })), NOW, NEVER)
        .unwrap();
    let bare = token.strip_prefix("kauth-").unwrap();
    let payload = B64.decode(bare.split('.').nth(1).unwrap()).unwrap();
    assert!(!String::from_utf8(payload).unwrap().contains("exp"));
    assert!(key().verify(&kuzzle, &token, NOW).is_some());
    assert!(key().verify(&kuzzle, bare, NOW).is_none());
    // Another face's is none here.
    assert!(key().verify(&settings(), bare, NOW).is_none());
    assert!(key().verify(&face, &good(), NOW).is_none());
}
