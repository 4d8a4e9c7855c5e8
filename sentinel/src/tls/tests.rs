use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;

/// An authority, and a directory for what it signs.
struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.path().join("ca.crt"), certificate.pem()).unwrap();
        std::fs::write(dir.path().join("ca.key"), key.serialize_pem()).unwrap();
        let issuer = Issuer::new(params, key);
        let authority = Self { dir, issuer };
        authority.sign();
        authority
    }

    /// Writes a certificate and a key.
    fn sign(&self) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path("it.crt"), certificate.pem()).unwrap();
        std::fs::write(self.path("it.key"), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn settings(&self) -> Settings {
        Settings {
            cert_file: Some(self.path("it.crt")),
            key_file: Some(self.path("it.key")),
            ca_cert_file: Some(self.path("ca.crt")),
            replication: true,
            ..Settings::default()
        }
    }
}

/// Whether a client gets an answer from a server.
async fn talk(client: Option<&Tls>, server: &Tls) -> bool {
    let connector = client.map_or_else(anonymous, |tls| tls.connector().unwrap());
    let (near, far) = duplex(16 * 1024);
    let name = ServerName::try_from("some.host").unwrap();
    let speak = async {
        let mut stream = connector.connect(name, near).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    let answer = async {
        let mut stream = server.acceptor().unwrap().accept(far).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await
    };
    let (spoke, answered) = tokio::join!(speak, answer);
    spoke.is_ok() && answered.is_ok()
}

/// A client that believes everything and shows no certificate.
fn anonymous() -> TlsConnector {
    let authority = Authority::new();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trust = Believer(
        Trust::new(
            files::authorities(&authority.settings()).unwrap(),
            &provider,
            true,
        )
        .unwrap(),
    );
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[derive(Debug)]
struct Believer(Trust);

mod believing {
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    impl ServerCertVerifier for super::Believer {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            ServerCertVerifier::verify_tls12_signature(&self.0, message, cert, dss)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            ServerCertVerifier::verify_tls13_signature(&self.0, message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            ServerCertVerifier::supported_verify_schemes(&self.0)
        }
    }
}

#[tokio::test]
async fn both_sides_are_checked_against_the_authority() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let good = Tls::load(ours.settings(), true).unwrap();
    let foreign = Tls::load(theirs.settings(), true).unwrap();
    assert!(talk(Some(&good), &good).await);
    assert!(!talk(Some(&foreign), &good).await, "an unknown authority");
    assert!(!talk(Some(&good), &foreign).await, "an unknown authority");
    assert!(!talk(None, &good).await, "no certificate");
    for (auth_clients, foreign_may) in [(AuthClients::Optional, false), (AuthClients::No, true)] {
        let settings = Settings {
            auth_clients,
            replication: false,
            ..ours.settings()
        };
        let server = Tls::load(settings, true).unwrap();
        assert!(talk(None, &server).await, "{auth_clients:?}");
        // A client that trusts us and shows what another authority signed.
        let mixed = Settings {
            ca_cert_file: Some(ours.path("ca.crt")),
            ..theirs.settings()
        };
        let mixed = Tls::load(mixed, true).unwrap();
        assert_eq!(talk(Some(&mixed), &server).await, foreign_may);
    }
}

#[tokio::test]
async fn versions_are_those_configured() {
    let authority = Authority::new();
    let with = |protocols| {
        let mut settings = authority.settings();
        settings.apply("tls-protocols", protocols).unwrap();
        Tls::load(settings, true).unwrap()
    };
    let (old, new) = (with("TLSv1.2"), with("TLSv1.1 TLSv1.3"));
    assert!(talk(Some(&old), &old).await && talk(Some(&new), &new).await);
    assert!(!talk(Some(&old), &new).await);
}

/// One certificate signed by itself, given to everybody as identity and authority.
#[tokio::test]
async fn a_self_signed_certificate_can_be_the_authority() {
    let authority = Authority::new();
    let settings = Settings {
        cert_file: Some(authority.path("ca.crt")),
        key_file: Some(authority.path("ca.key")),
        ..authority.settings()
    };
    let tls = Tls::load(settings, true).unwrap();
    assert!(talk(Some(&tls), &tls).await);
}

#[tokio::test]
async fn certificates_are_read_again_and_kept_when_they_cannot_be() {
    let authority = Authority::new();
    let tls = Tls::load(authority.settings(), true).unwrap();
    std::fs::write(authority.path("it.key"), "nonsense").unwrap();
    assert!(tls.reload().is_err());
    assert!(talk(Some(&tls), &tls).await);
    let other = Authority::new();
    for name in ["it.crt", "it.key", "ca.crt"] {
        std::fs::copy(other.path(name), authority.path(name)).unwrap();
    }
    tls.reload().unwrap();
    let of_other = Tls::load(other.settings(), true).unwrap();
    assert!(talk(Some(&tls), &of_other).await);
}

#[test]
fn what_is_missing_is_named() {
    let authority = Authority::new();
    let error = |change: fn(&mut Settings)| {
        let mut settings = authority.settings();
        change(&mut settings);
        Tls::load(settings, true).unwrap_err().to_string()
    };
    assert!(error(|it| it.cert_file = None).contains("`tls-cert-file`"));
    assert!(error(|it| it.key_file = None).contains("`tls-key-file`"));
    assert!(error(|it| it.ca_cert_file = None).contains("`tls-ca-cert-dir`"));
    let missing = error(|it| it.ca_cert_file = Some("/no/such/file".into()));
    assert!(
        missing.starts_with("cannot read /no/such/file"),
        "{missing}"
    );
    let swapped = error(|it| it.cert_file = it.key_file.clone());
    assert!(swapped.contains("no PEM certificate"), "{swapped}");
    let swapped = error(|it| it.key_file = it.cert_file.clone());
    assert!(swapped.contains("no PEM private key"), "{swapped}");
    let unused = Tls::load(Settings::default(), false).unwrap();
    assert!(!unused.is_used() && unused.connector().is_none());
}

#[test]
fn a_directory_of_authorities_is_read() {
    let authority = Authority::new();
    let dir = authority.path("authorities");
    std::fs::create_dir(&dir).unwrap();
    let settings = Settings {
        ca_cert_file: None,
        ca_cert_dir: Some(dir.clone()),
        ..authority.settings()
    };
    assert!(Tls::load(settings.clone(), true).is_err(), "it is empty");
    std::fs::write(dir.join("notes"), "not a certificate").unwrap();
    std::fs::copy(authority.path("ca.crt"), dir.join("5ed36f99.0")).unwrap();
    assert!(Tls::load(settings, true).is_ok());
}

#[test]
fn a_key_and_a_certificate_belong_together() {
    let authority = Authority::new();
    let before = authority.path("before.key");
    std::fs::copy(authority.path("it.key"), &before).unwrap();
    authority.sign();
    let settings = Settings {
        key_file: Some(before),
        ..authority.settings()
    };
    assert!(Tls::load(settings, true).is_err());
}

/// Keys that OpenSSL encrypted with the password `secret`.
#[test]
fn an_encrypted_key_needs_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("it.key");
    let read = |pass| files::key(&path, pass);
    std::fs::write(&path, ENCRYPTED).unwrap();
    assert!(read(Some("secret")).is_ok());
    let text = |result: Result<_, Error>| result.map(|_| ()).unwrap_err().to_string();
    assert!(text(read(None)).contains("tls-key-file-pass"));
    assert!(text(read(Some("wrong"))).contains("cannot be decrypted"));
    let old = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n";
    std::fs::write(&path, old).unwrap();
    assert!(text(read(Some("secret"))).contains("openssl pkcs8 -topk8"));
}

const ENCRYPTED: &str = "\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjZfxxiCTb3/gICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKk26vMDpg7LeMxUMnNci9MEgZBq
1cV1AtFs0fpNgRysUteIzGBdRjhmg5hFUzazYkJgipghiP7S2qG/odP7ywdqhsgT
9tT4e/CwftjzI4Usn8NRZlbIic1FmhpoDNPeKJpWQfoGqnpgljUDpyptfmC1pdC7
sm/sTudD0YcA/aMLqSeHXqiC281s5Rv7m4hsaXqPeQRn1G5NTXpPj0NRD0p/hQo=
-----END ENCRYPTED PRIVATE KEY-----
";
