//! The `tls-*` directives.

use std::path::{Path, PathBuf};

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::Error;

/// Which certificates clients must show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AuthClients {
    /// A valid one.
    #[default]
    Yes,
    /// None.
    No,
    /// A valid one or none.
    Optional,
}

/// The directives that have an effect.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// `tls-cert-file`.
    pub cert_file: Option<PathBuf>,
    /// `tls-key-file`.
    pub key_file: Option<PathBuf>,
    /// `tls-key-file-pass`.
    pub key_file_pass: Option<String>,
    /// `tls-client-cert-file`; `tls-cert-file` when absent.
    pub client_cert_file: Option<PathBuf>,
    /// `tls-client-key-file`.
    pub client_key_file: Option<PathBuf>,
    /// `tls-client-key-file-pass`.
    pub client_key_file_pass: Option<String>,
    /// `tls-ca-cert-file`.
    pub ca_cert_file: Option<PathBuf>,
    /// `tls-ca-cert-dir`.
    pub ca_cert_dir: Option<PathBuf>,
    /// `tls-auth-clients`.
    pub auth_clients: AuthClients,
    /// `tls-replication`: links use TLS.
    pub replication: bool,
    /// `tls-protocols`; all that there are when absent.
    pub protocols: Option<Protocols>,
}

/// The versions of `tls-protocols` that are spoken; at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Protocols {
    tls12: bool,
    tls13: bool,
}

/// Passwords stay out of logs.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("cert_file", &self.cert_file)
            .field("replication", &self.replication)
            .finish_non_exhaustive()
    }
}

/// A certificate and the key that belongs to it.
#[derive(Clone, Copy)]
pub(super) struct Identity<'a> {
    pub(super) cert: &'a Path,
    pub(super) key: &'a Path,
    pub(super) pass: Option<&'a str>,
}

/// Directives of OpenSSL that rustls has no counterpart for.
pub const WITHOUT_EFFECT: &[&str] = &[
    "tls-ciphers",
    "tls-ciphersuites",
    "tls-dh-params-file",
    "tls-prefer-server-ciphers",
    "tls-session-cache-size",
    "tls-session-cache-timeout",
    "tls-session-caching",
];

impl Settings {
    /// Takes a directive with one argument; false when it is none of these.
    ///
    /// # Errors
    /// What is wrong with the argument.
    pub fn apply(&mut self, keyword: &str, value: &str) -> Result<bool, String> {
        let text = || (!value.is_empty()).then(|| value.to_owned());
        let path = || text().map(PathBuf::from);
        match keyword {
            "tls-cert-file" => self.cert_file = path(),
            "tls-key-file" => self.key_file = path(),
            "tls-key-file-pass" => self.key_file_pass = text(),
            "tls-client-cert-file" => self.client_cert_file = path(),
            "tls-client-key-file" => self.client_key_file = path(),
            "tls-client-key-file-pass" => self.client_key_file_pass = text(),
            "tls-ca-cert-file" => self.ca_cert_file = path(),
            "tls-ca-cert-dir" => self.ca_cert_dir = path(),
            "tls-replication" => self.replication = crate::conf::server::yes_no(value)?,
            "tls-protocols" => self.protocols = protocols(value)?,
            "tls-auth-clients" => {
                self.auth_clients = match value.to_ascii_lowercase().as_str() {
                    "yes" => AuthClients::Yes,
                    "no" => AuthClients::No,
                    "optional" => AuthClients::Optional,
                    _ => return Err(format!("`{value}`: must be one of yes, no, optional")),
                };
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    pub(super) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let Protocols { tls12, tls13 } = self.protocols.unwrap_or(Protocols {
            tls12: true,
            tls13: true,
        });
        let all = [(tls13, &TLS13), (tls12, &TLS12)];
        let spoken = all.into_iter().filter(|(is, _)| *is);
        spoken.map(|(_, version)| version).collect()
    }

    pub(super) fn server_identity(&self) -> Result<Identity<'_>, Error> {
        let missing = |name| Error::Missing { name };
        Ok(Identity {
            cert: self.cert_file.as_deref().ok_or(missing("tls-cert-file"))?,
            key: self.key_file.as_deref().ok_or(missing("tls-key-file"))?,
            pass: self.key_file_pass.as_deref(),
        })
    }

    /// What links show: the client certificate, or that of the port.
    pub(super) fn client_identity(&self) -> Result<Identity<'_>, Error> {
        let Some(cert) = &self.client_cert_file else {
            return self.server_identity();
        };
        let name = "tls-client-key-file";
        Ok(Identity {
            cert,
            key: self
                .client_key_file
                .as_deref()
                .ok_or(Error::Missing { name })?,
            pass: self.client_key_file_pass.as_deref(),
        })
    }
}

/// The versions named, as far as they are safe enough to be spoken here; none named is all.
fn protocols(value: &str) -> Result<Option<Protocols>, String> {
    let mut spoken = Protocols {
        tls12: false,
        tls13: false,
    };
    let words: Vec<String> = value
        .split_ascii_whitespace()
        .map(str::to_ascii_lowercase)
        .collect();
    for word in &words {
        match word.as_str() {
            "tlsv1.2" => spoken.tls12 = true,
            "tlsv1.3" => spoken.tls13 = true,
            "tlsv1" | "tlsv1.1" => {}
            _ => {
                return Err(format!(
                    "`{word}`: must be TLSv1.2 or TLSv1.3 (TLSv1 and TLSv1.1 are never spoken)"
                ));
            }
        }
    }
    if words.is_empty() {
        return Ok(None);
    }
    if !spoken.tls12 && !spoken.tls13 {
        return Err("only TLSv1.2 and TLSv1.3 are spoken, and neither is named".into());
    }
    Ok(Some(spoken))
}
