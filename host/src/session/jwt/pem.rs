//! A public key in PEM: SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7), or RSA's own form
//! (RFC 8017, appendix A.1.1).

use anyhow::{Context, Result, bail, ensure};
use spki::der::Document;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::keys::Key;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 8410, section 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

pub fn key(pem: &[u8]) -> Result<Key> {
    const NO_PEM: &str = "it is not PEM";
    let text = std::str::from_utf8(pem).context(NO_PEM)?;
    ensure!(
        !text.contains("PRIVATE KEY-----"),
        "it is a private key, which stays with the signer; `openssl pkey -in FILE -pubout` prints its public one"
    );
    ensure!(
        !text.contains("CERTIFICATE-----"),
        "it is a certificate; `openssl x509 -in FILE -noout -pubkey` prints its key"
    );
    let (label, document) = Document::from_pem(text).map_err(|error| anyhow::anyhow!("{NO_PEM}: {error}"))?;
    match label {
        "RSA PUBLIC KEY" => rsa(document.as_bytes()),
        "PUBLIC KEY" => public_key(document.as_bytes()),
        other => bail!("it is `{other}` and not `PUBLIC KEY`"),
    }
}

fn public_key(der: &[u8]) -> Result<Key> {
    let broken = |error| anyhow::anyhow!("it is no public key: {error}");
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(broken)?;
    let bits = info.subject_public_key.raw_bytes();
    match info.algorithm.oid {
        RSA => rsa(bits),
        EC => {
            let curve = info.algorithm.parameters_oid().ok();
            ensure!(curve == Some(P256), "its curve is not P-256, the one of ES256");
            Ok(Key::p256(bits)?)
        }
        ED25519 => Ok(Key::ed25519(bits)?),
        other => bail!("its kind ({other}) is neither RSA, P-256 nor Ed25519"),
    }
}

fn rsa(der: &[u8]) -> Result<Key> {
    let key = pkcs1::RsaPublicKey::try_from(der).map_err(|error| anyhow::anyhow!("no RSA key: {error}"))?;
    Ok(Key::rsa(key.modulus.as_bytes(), key.public_exponent.as_bytes())?)
}
