//! TLS on the command port and on links, with the directives of Redis.
//!
//! Certificates are checked against the authorities of `tls-ca-cert-file` and `tls-ca-cert-dir`.
//! As in Redis the name in a server's certificate is not compared with the host: sentinels connect
//! to addresses that they learnt from each other, for which few certificates are made.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

mod files;
pub mod settings;
mod trust;

pub use files::Error;
pub use settings::{AuthClients, Settings};

use trust::Trust;

/// What TLS connections are made with. It can be read from the files anew.
#[derive(Debug)]
pub struct Tls {
    settings: Settings,
    serves: bool,
    loaded: Mutex<Loaded>,
}

#[derive(Clone)]
struct Loaded {
    acceptor: Option<TlsAcceptor>,
    connector: Option<TlsConnector>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loaded")
    }
}

impl Tls {
    /// Reads the files: those for accepting when the port `serves` TLS, those for connecting when
    /// links use it.
    ///
    /// # Errors
    /// A file is missing or cannot be used, or a directive that is needed is absent.
    pub fn load(settings: Settings, serves: bool) -> Result<Self, Error> {
        let loaded = Mutex::new(read(&settings, serves)?);
        Ok(Self {
            settings,
            serves,
            loaded,
        })
    }

    /// Reads the files again. Connections made from now on use what they say; after an error, what
    /// was read before stays in use.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn reload(&self) -> Result<(), Error> {
        let loaded = read(&self.settings, self.serves)?;
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// Whether there is anything to read.
    pub fn is_used(&self) -> bool {
        self.serves || self.settings.replication
    }

    /// Greets clients of the TLS port.
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        self.loaded().acceptor
    }

    /// Greets servers and other sentinels; `None` when links are in clear.
    pub fn connector(&self) -> Option<TlsConnector> {
        self.loaded().connector
    }

    fn loaded(&self) -> Loaded {
        let loaded = self.loaded.lock();
        loaded.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn read(settings: &Settings, serves: bool) -> Result<Loaded, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let acceptor = if serves {
        Some(TlsAcceptor::from(server(settings, &provider)?))
    } else {
        None
    };
    let connector = if settings.replication {
        Some(TlsConnector::from(client(settings, &provider)?))
    } else {
        None
    };
    Ok(Loaded {
        acceptor,
        connector,
    })
}

fn server(settings: &Settings, provider: &Arc<CryptoProvider>) -> Result<Arc<ServerConfig>, Error> {
    let (chain, key) = files::identity(&settings.server_identity()?)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&settings.versions())
        .map_err(Error::Refused)?;
    let builder = match settings.auth_clients {
        AuthClients::No => builder.with_no_client_auth(),
        AuthClients::Yes | AuthClients::Optional => {
            let mandatory = settings.auth_clients == AuthClients::Yes;
            let trust = Trust::new(files::authorities(settings)?, provider, mandatory)?;
            builder.with_client_cert_verifier(Arc::new(trust))
        }
    };
    let config = builder.with_single_cert(chain, key);
    config.map(Arc::new).map_err(Error::Refused)
}

fn client(settings: &Settings, provider: &Arc<CryptoProvider>) -> Result<Arc<ClientConfig>, Error> {
    let trust = Trust::new(files::authorities(settings)?, provider, true)?;
    let (chain, key) = files::identity(&settings.client_identity()?)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&settings.versions())
        .map_err(Error::Refused)?;
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust))
        .with_client_auth_cert(chain, key);
    config.map(Arc::new).map_err(Error::Refused)
}

#[cfg(test)]
mod tests;
