//! Certificates of an authority that nobody knows but those who are told of it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};

/// As PEM.
pub struct Certificates {
    pub authority: String,
    pub server: String,
    pub key: String,
}

/// Makes an authority, and a certificate by it for servers on loopback.
pub fn make() -> Result<Certificates, String> {
    made().map_err(|error| format!("no certificate: {error}"))
}

fn made() -> Result<Certificates, Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(vec![])?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let name = "An authority for one test";
    authority.distinguished_name.push(DnType::CommonName, name);
    let root = pem("CERTIFICATE", authority.self_signed(&authority_key)?.der());
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names)?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let name = "A server for one test";
    server.distinguished_name.push(DnType::CommonName, name);
    let issuer = Issuer::new(authority, authority_key);
    Ok(Certificates {
        server: pem("CERTIFICATE", server.signed_by(&key, &issuer)?.der()),
        key: pem("PRIVATE KEY", &key.serialize_der()),
        authority: root,
    })
}

// The crate that would do it brings a second base64 along.
fn pem(what: &str, bytes: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(bytes);
    let mut lines = format!("-----BEGIN {what}-----\n");
    for line in text.as_bytes().chunks(64) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
    lines + &format!("-----END {what}-----\n")
}
