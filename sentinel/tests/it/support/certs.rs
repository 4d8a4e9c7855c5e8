//! An authority, certificates of it, and what is made with them.

use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// An authority with one certificate for everybody.
pub struct Certs {
    dir: TempDir,
}

impl Certs {
    /// Makes them.
    pub fn new() -> Self {
        let certs = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        certs.renew();
        certs
    }

    /// Replaces all of them: nobody who keeps the old ones is trusted.
    pub fn renew(&self) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "it");
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let write = |name, text: String| std::fs::write(self.path(name), text).unwrap();
        write("ca.crt", authority.pem());
        write("it.crt", certificate.pem());
        write("it.key", key.serialize_pem());
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directives that use them everywhere.
    pub fn lines(&self) -> String {
        let path = |name| self.path(name).display().to_string();
        format!(
            "tls-replication yes\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\n",
            path("it.crt"),
            path("it.key"),
            path("ca.crt")
        )
    }

    /// What `redis-cli` prints for a command.
    pub fn cli(&self, host: &str, port: u16, line: &str) -> String {
        let (cert, key) = (self.path("it.crt"), self.path("it.key"));
        self.cli_with(host, port, &[("--cert", &cert), ("--key", &key)], line)
    }

    /// The same for a client that shows no certificate.
    pub fn cli_anonymous(&self, host: &str, port: u16, line: &str) -> String {
        self.cli_with(host, port, &[], line)
    }

    fn cli_with(&self, host: &str, port: u16, own: &[(&str, &Path)], line: &str) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["--tls", "-h", host, "-p", &port.to_string()]);
        command.arg("--cacert").arg(self.path("ca.crt"));
        for (option, path) in own {
            command.arg(option).arg(path);
        }
        let out = command.args(line.split(' ')).output().unwrap();
        let text = [out.stdout, out.stderr].concat();
        String::from_utf8(text).unwrap().trim().to_owned()
    }
}
