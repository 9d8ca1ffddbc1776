//! TLS of both listeners: rustls on ring. Devices may show a certificate, which then must be good; who shows none comes in too
//! and is let no further than enrolment.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tower::Layer as _;

use super::authority::Authority;
use crate::exit::{Failure, Result};

/// The certificate that a connection showed, if it did; TLS has checked it.
#[derive(Debug, Clone)]
pub struct Peer(pub Option<CertificateDer<'static>>);

/// What the devices' listener shows and asks for.
///
/// # Errors
/// What of the files cannot be used.
pub fn for_devices(authority: &Authority, certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let builder = builder()?.with_client_cert_verifier(authority.verifier()?);
    finish(builder, certificate, key)
}

/// What the devices' MQTT listener shows and asks for: as [`for_devices`], for clients that name no protocol.
///
/// # Errors
/// What of the files cannot be used.
pub fn for_mqtt(authority: &Authority, certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let mut config = ServerConfig::clone(&*for_devices(authority, certificate, key)?);
    config.alpn_protocols = Vec::new();
    Ok(Arc::new(config))
}

/// What the people's listener shows.
///
/// # Errors
/// What of the files cannot be used.
pub fn for_people(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    finish(builder()?.with_no_client_auth(), certificate, key)
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Failure::failed)
}

fn finish(
    builder: rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>,
    certificate: &Path,
    key: &Path,
) -> Result<Arc<ServerConfig>> {
    let wrong =
        |path: &Path, error: &dyn std::fmt::Display| Failure::refused(format!("{}: {error}", path.display()));
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|error| wrong(certificate, &error))?.collect();
    let chain = chain.map_err(|error| wrong(certificate, &error))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let mut config = builder.with_single_cert(chain, private).map_err(|error| wrong(certificate, &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Accepts TLS and tells each request what its connection showed.
#[derive(Clone)]
pub struct PeerAcceptor {
    inner: RustlsAcceptor,
}

impl PeerAcceptor {
    /// With a configuration that may be replaced while it runs.
    pub fn new(config: RustlsConfig) -> Self {
        Self { inner: RustlsAcceptor::new(config) }
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for PeerAcceptor {
    type Stream = TlsStream<TcpStream>;
    type Service = AddExtension<S, Peer>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let accepting = self.inner.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let peer = Peer(shown.map(|own| own.clone().into_owned()));
            Ok((stream, Extension(peer).layer(service)))
        })
    }
}
