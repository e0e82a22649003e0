// SPDX-License-Identifier: Apache-2.0
//! TLS in front of a protocol: keys and certificates, and the handshake.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tensorserve_log::{Level, Limit, Line};
use tensorserve_servables::{Result, ServingError};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Protocol;
use crate::listener::Connection;
use crate::shutdown::ShutdownWatch;

/// A client that does not finish the handshake by then is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);

static REFUSED: Limit = Limit::every(Duration::from_secs(60));

/// What a server shows to its clients, and asks of them, as PEM texts.
pub struct Identity<'a> {
    /// PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub key: &'a str,
    /// The server's own certificate, then those between it and the root.
    pub certificates: &'a str,
    /// Who may sign the certificates of clients; `None` asks clients for none.
    pub client_authorities: Option<&'a str>,
}

/// The settings of each protocol, for connections to come; without settings they are in plain text.
#[derive(Default)]
pub(crate) struct Security {
    grpc: ArcSwapOption<ServerConfig>,
    rest: ArcSwapOption<ServerConfig>,
}

impl Security {
    /// Sets or replaces what connections from now on use. INVALID_ARGUMENT if the identity cannot be used.
    pub(crate) fn set(&self, protocol: Protocol, identity: &Identity<'_>) -> Result<()> {
        let mut config = config(identity)?;
        config.alpn_protocols = match protocol {
            Protocol::Grpc => vec![b"h2".to_vec()],
            Protocol::Rest | Protocol::Health => vec![b"http/1.1".to_vec()],
        };
        if let Some(settings) = self.of(protocol) {
            settings.store(Some(Arc::new(config)));
        }
        Ok(())
    }

    pub(crate) fn get(&self, protocol: Protocol) -> Option<Arc<ServerConfig>> {
        self.of(protocol)?.load_full()
    }

    /// `None` for probes: whoever asks them has no certificate.
    fn of(&self, protocol: Protocol) -> Option<&ArcSwapOption<ServerConfig>> {
        match protocol {
            Protocol::Grpc => Some(&self.grpc),
            Protocol::Rest => Some(&self.rest),
            Protocol::Health => None,
        }
    }
}

/// Does the handshake; `None` if the server stops meanwhile. An error says why a client is refused.
pub(crate) async fn accept(
    config: Arc<ServerConfig>,
    stream: Box<dyn Connection>,
    stop: &mut ShutdownWatch,
) -> io::Result<Option<TlsStream<Box<dyn Connection>>>> {
    let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream));
    tokio::select! {
        done = handshake => done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(Some),
        () = stop.told() => Ok(None),
    }
}

/// Logs that a client was refused. Ports are scanned all day, so few operators want to read of it.
pub(crate) fn report(reason: &io::Error, protocol: &str) {
    REFUSED.say(|| {
        let text = format!("A {protocol} client was refused: the TLS handshake failed: {reason}.");
        Line::new(Level::Info, text).with("protocol", protocol).with("error", reason)
    });
}

fn config(identity: &Identity<'_>) -> Result<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())
        .map_err(|error| unusable("server_key holds no private key in PEM form", &error))?;
    let certificates = certificates("server_cert", identity.certificates)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("TLS cannot be set up", &error))?;
    let builder = match identity.client_authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => builder.with_client_cert_verifier(client_verifier(authorities, provider)?),
    };
    builder
        .with_single_cert(certificates, key)
        .map_err(|error| unusable("server_key and server_cert cannot be used together", &error))
}

fn client_verifier(authorities: &str, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("custom_ca", authorities)? {
        roots.add(certificate).map_err(|error| unusable("custom_ca holds an unusable certificate", &error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| unusable("custom_ca cannot be used to verify clients", &error))
}

fn certificates(field: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<std::result::Result<Vec<_>, _>>();
    let found = found.map_err(|error| unusable(&format!("{field} is not in PEM form"), &error))?;
    if found.is_empty() {
        return Err(ServingError::invalid_argument(format!(
            "{field} holds no certificate in PEM form (the text itself is wanted, not the path of a file)"
        )));
    }
    Ok(found)
}

fn unusable(what: &str, why: &dyn Display) -> ServingError {
    ServingError::invalid_argument(format!("{what}: {why}"))
}
