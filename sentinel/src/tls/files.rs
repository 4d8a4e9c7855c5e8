//! Reading certificates and keys.

use std::io;
use std::path::{Path, PathBuf};

use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Decode as _;
use rustls_pki_types::pem::{PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::settings::{Identity, Settings};

/// Why TLS cannot be used as configured. Each text is complete.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directive is absent.
    #[error("TLS needs `{name}`, which is not set")]
    Missing {
        /// The directive.
        name: &'static str,
    },
    /// Neither directive that names authorities is set.
    #[error(
        "`tls-ca-cert-file` or `tls-ca-cert-dir` must be set when `tls-replication` is yes or \
         `tls-auth-clients` is not no"
    )]
    NoAuthorities,
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file does not hold what it should.
    #[error("cannot use {path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates and keys do not work together.
    #[error("cannot set up TLS: {0}")]
    Refused(rustls::Error),
    /// The authorities cannot be used.
    #[error("cannot use the certificate authorities: {0}")]
    Authorities(String),
}

fn content(path: &Path, reason: impl ToString) -> Error {
    Error::Content {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::File {
        path: path.to_owned(),
        error,
    })
}

/// The certificate with those that lead to its authority, and its key.
pub(super) fn identity(
    identity: &Identity<'_>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = certificates(identity.cert)?;
    Ok((chain, key(identity.key, identity.pass)?))
}

/// The certificates in a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let pem = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = all.map_err(|error| content(path, error))?;
    if all.is_empty() {
        return Err(content(path, "there is no PEM certificate in it"));
    }
    Ok(all)
}

/// The first key in a file.
pub(super) fn key(path: &Path, pass: Option<&str>) -> Result<PrivateKeyDer<'static>, Error> {
    let pem = read(path)?;
    if pem.windows(11).any(|window| window == b"Proc-Type: ") {
        let reason = "the key is encrypted in the old form of OpenSSL; convert it with \
                      `openssl pkcs8 -topk8`";
        return Err(content(path, reason));
    }
    let sections = <(SectionKind, Vec<u8>) as rustls_pki_types::pem::PemObject>::pem_slice_iter;
    for section in sections(&pem) {
        let (kind, _) = section.map_err(|error| content(path, error))?;
        if kind == SectionKind::PrivateKey
            || kind == SectionKind::RsaPrivateKey
            || kind == SectionKind::EcPrivateKey
        {
            return PrivateKeyDer::from_pem_slice(&pem).map_err(|error| content(path, error));
        }
    }
    decrypted(path, &pem, pass)
}

/// The key of an encrypted PKCS #8 file.
fn decrypted(path: &Path, pem: &[u8], pass: Option<&str>) -> Result<PrivateKeyDer<'static>, Error> {
    let text = String::from_utf8_lossy(pem);
    let start = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----");
    let Some(text) = start.and_then(|start| text.get(start..)) else {
        return Err(content(path, "there is no PEM private key in it"));
    };
    let Some(pass) = pass else {
        return Err(content(
            path,
            "the key is encrypted and there is no password for it (`tls-key-file-pass`)",
        ));
    };
    let (_, document) =
        pkcs8::SecretDocument::from_pem(text).map_err(|error| content(path, error))?;
    let encrypted = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
        .map_err(|error| content(path, error))?;
    let key = encrypted
        .decrypt(pass)
        .map_err(|error| content(path, format!("the key cannot be decrypted: {error}")))?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

/// The certificates of the authorities.
pub(super) fn authorities(settings: &Settings) -> Result<Vec<CertificateDer<'static>>, Error> {
    let mut all = Vec::new();
    if let Some(file) = &settings.ca_cert_file {
        all.extend(certificates(file)?);
    }
    if let Some(dir) = &settings.ca_cert_dir {
        let before = all.len();
        for path in files_in(dir)? {
            // A directory of OpenSSL also holds lists of revoked certificates, and notes.
            all.extend(certificates(&path).unwrap_or_default());
        }
        if all.len() == before {
            return Err(content(dir, "there is no PEM certificate in it"));
        }
    }
    if settings.ca_cert_file.is_none() && settings.ca_cert_dir.is_none() {
        return Err(Error::NoAuthorities);
    }
    Ok(all)
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::File {
        path: dir.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
