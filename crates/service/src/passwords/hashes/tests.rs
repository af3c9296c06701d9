use super::*;

// Made by the libraries of other languages, of this password.
const PASSWORD: &str = "correct horse battery";
const MADE_ELSEWHERE: [&str; 10] = [
    "$argon2id$v=19$m=65536,t=3,p=4$AAECAwQFBgcICQoLDA0ODw$WZX8Xdq9t/EPrirXlicMJpgh1wsO+4+2AmKoHxtvDrg",
    "$argon2i$v=19$m=4096,t=4,p=1$AAECAwQFBgcICQoLDA0ODw$yGPXWnpaM8DK2wXUlv0DkYbJSTMRLp2ypz2lFmapSDY",
    "$argon2d$v=16$m=4096,t=2,p=2$AAECAwQFBgcICQoLDA0ODw$tz6N6yylAG8iEJr/3H1TcjgUa+WjT29G65YezfBgxHA",
    "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
    "$2a$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2",
    "$scrypt$ln=14,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$6W7GuoxjojaYIg83x/wEKSXUMMf+reyc6wSvA8q7ny8",
    "$pbkdf2-sha256$i=1000,l=32$AAECAwQFBgcICQoLDA0ODw$AhaeZ02AwPxykuhhDI8XvhQN8GKvmqM+qF6qvs/98I0",
    "$pbkdf2-sha512$1000$8PHy8/T19vf4.fr7/P3./w$hWACBuAy41PVaxHMuJVNcqtn6FQe.C1dQ2Bt7XPgCBGLkHEHHdKxW4fzTWC2O9wKVcIX9e3QYMxwnO23HUbLDg",
    // As long, and with as long a salt, as Kuzzle makes them.
    "$pbkdf2-sha512$i=10000,l=512$MDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYwMDExMjIzMzQ0NTU2Njc3ODg5OWFhYmJjY2RkZWVmZjAwMTEyMjMzNDQ1NTY2Nzc4ODk5YWFiYmNjZGRlZWZmMDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYwMDExMjIzMzQ0NTU2Njc3ODg5OWFhYmJjY2RkZWVmZjAwMTEyMjMzNDQ1NTY2Nzc4ODk5YWFiYmNjZGRlZWZmMDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYwMDExMjIzMzQ0NTU2Njc3ODg5OWFhYmJjY2RkZWVmZg$JTwUoxnqKE8lF06u6v7SL9od+Knv0tVmSkBECH4Hpw9B/VANYYifhQAGV0dlP4bbypsVcUPLGzUvaAluCe1BvbpT7isL6b5G3T/isdHXXVqpm/Zj5e8/zwbvuV/nsXEsrsZ23O2YipbUEHsnp3JVJmexGfeh1BoZNhLeFwpvZB9rwtrTUyemaC9Zq+UChuTOlb3pPh5SQgfcqIFjvcwxsAs4AM0Hy3E1V8MmnaEaWspCw4i0NlC9EJWlN88VrN0HZvZ3JBQ3C8S+SFk0rZLEcobNbhqDjfoNxAVrL8p8+O/Ws9MLQ132fAfrkTwTjNcZpfTvhElDL7J8hqf3PeqGel3h1hhE+wvwdp2K7NsIvUTkHbk+NZYxERqUWK/WoLoK/mgvztURz+OUY1CpeqO0ynILfO2o72liRmuzL8WCIE0GJRSi5v7y9pj+O5GXsEYByPbqPStaBGIC4y/a8hIqOPnqOT51NoABnChXFGGZstl9k/9k+Oapfb9P4tMQm+Pa8I6EHUpKNHRtlS9k71uan/soj4jBV6djmE8agW4zRlQcgh7NPt3QhtuZJXN71o+Q2IaWQ5fuBLNIRfKkYme6QRZgF6Y5ui+n/R2lYc0u8Asf8NvPt23fYo42O95kqEVhJu3PaJU4Pe66xX9Col836Pv31VUvFaRdEC+qcPS+DIM",
    "9028ea0d15decaa35b2da21c0290af3b1a5ba0a30a591906f89b5074e209ea72",
];

#[test]
fn hashes_of_other_systems_are_verified() {
    for hash in MADE_ELSEWHERE {
        assert_eq!(check(hash), Ok(()), "{hash}");
        assert!(verify(PASSWORD, hash), "{hash}");
        assert!(!is_current(hash), "{hash}");
    }
    let other = MADE_ELSEWHERE[3].replacen("2b", "2y", 1);
    assert!(verify(PASSWORD, &other));
}

#[test]
fn another_password_has_another_hash() {
    for hash in MADE_ELSEWHERE {
        for wrong in ["", "correct horse batterx", "correct horse battery "] {
            assert!(!verify(wrong, hash), "{wrong:?} {hash}");
        }
    }
}

#[test]
fn bcrypt_sees_all_of_a_password_or_nothing() {
    // Of 72 letters x.
    let hash = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";
    assert!(verify(&"x".repeat(72), hash));
    for password in ["x".repeat(73), "x".repeat(71), "x".repeat(72) + "y"] {
        assert!(!verify(&password, hash));
    }
    assert!(!verify("correct horse battery\0", MADE_ELSEWHERE[3]));
}

#[test]
fn what_is_no_hash_or_too_dear_is_refused_and_verifies_nothing() {
    let salt = "AAECAwQFBgcICQoLDA0ODw";
    let output = "AhaeZ02AwPxykuhhDI8XvhQN8GKvmqM+qF6qvs/98I0";
    let phc = |settings: &str| format!("{settings}${salt}${output}");
    let dear = [
        phc("$argon2id$v=19$m=4194304,t=1,p=1"),
        phc("$argon2id$v=19$m=131072,t=100,p=1"),
        phc("$argon2id$v=19$m=65536,t=3,p=200"),
        "$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS".into(),
        phc("$scrypt$ln=40,r=8,p=1"),
        phc("$scrypt$ln=20,r=64,p=1"),
        phc("$scrypt$ln=16,r=8,p=16"),
        phc("$pbkdf2-sha256$i=4000000000"),
    ];
    for hash in &dear {
        let wrong = check(hash).unwrap_err();
        assert!(wrong.contains("too much"), "{hash}: {wrong}");
    }
    let broken = [
        "".into(),
        "secret".into(),
        "$".into(),
        "$$$$".into(),
        "$md5$abc".into(),
        "$2b$10$short".into(),
        "$2b$+4$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS".into(),
        "$2b\u{e9}04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoO".into(),
        phc("$argon2id$v=19$m=1,t=1,p=1"),
        phc("$scrypt$ln=14,r=8"),
        phc("$scrypt$ln=14,r=8,p=0"),
        phc("$pbkdf2-sha256$i=0"),
        phc("$pbkdf2-sha256$i=1000,l=64"),
        format!("$pbkdf2-sha256$i=1000${salt}$"),
        format!("$pbkdf2-sha256$i=1000${salt}$AAEC"),
        format!("$pbkdf2-sha256$i=1000${salt}${output}$more"),
        "9028ea0d15decaa35b2da21c0290af3b1a5ba0a30a591906f89b5074e209ea7".into(),
        "g".repeat(64),
        "$".repeat(3_000),
    ];
    for hash in dear.iter().chain(&broken) {
        assert!(check(hash).is_err(), "{hash}");
        for password in ["", PASSWORD] {
            assert!(!verify(password, hash), "{hash}");
        }
    }
}

#[test]
fn only_our_own_hashes_are_as_they_should_be() {
    let ours = format!(
        "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$AAECAwQFBgcICQoLDA0ODw$AhaeZ02AwPxykuhhDI8XvhQN8GKvmqM+qF6qvs/98I0"
    );
    assert!(is_current(&ours));
    for other in [
        ours.replace("argon2id", "argon2i"),
        ours.replace("v=19", "v=16"),
        ours.replace("t=2", "t=1"),
    ] {
        assert_ne!(other, ours);
        assert!(!is_current(&other), "{other}");
    }
}
