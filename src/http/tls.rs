//! TLS on loopback, on the same port as plain HTTP.
//!
//! kubectl sends the token of a kubeconfig over HTTPS only; a browser would warn of a certificate that it does not know. So
//! the first byte of a connection decides: a TLS handshake or a request. The certificate is self-signed and known to
//! clients by the kubeconfig, which holds exactly this one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// First byte of a TLS handshake record.
const HANDSHAKE: u8 = 0x16;
/// How long a connection may take to its first byte and through its handshake.
const TIME: Duration = Duration::from_secs(10);
/// The most connections that are that far at once; further ones wait in the backlog.
const OPENING: usize = 256;
/// How long to wait when the machine has no room for another connection.
const PAUSE: Duration = Duration::from_millis(200);

/// A certificate and its key, as PEM. The caller keeps the key with mode 0600.
#[derive(Clone)]
pub struct Certificate {
    /// What clients know the server by.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// A stored certificate or key is no PEM.
    #[error("reading the certificate: {0}")]
    Reading(#[from] rustls::pki_types::pem::Error),
    /// Certificate and key cannot be used together.
    #[error("using the certificate: {0}")]
    Using(#[from] rustls::Error),
}

impl Certificate {
    /// A new certificate for the names of loopback and these others (host names or addresses). It does not expire: it is
    /// trusted by being the one in the kubeconfig, and replaced with it.
    ///
    /// # Errors
    /// [`TlsError::Making`]
    pub fn new(others: impl IntoIterator<Item = String>) -> Result<Self, TlsError> {
        let names = ["localhost", "127.0.0.1", "::1"].into_iter().map(str::to_owned).chain(others).collect::<Vec<_>>();
        let made = rcgen::generate_simple_self_signed(names)?;
        Ok(Self { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() })
    }

    fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider())).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A listener for both TLS and plain connections. A client that is slow to open one holds up nobody.
pub struct EitherListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    opening: JoinSet<Option<(Connection, SocketAddr)>>,
}

impl EitherListener {
    /// Listens with a certificate.
    ///
    /// # Errors
    /// When certificate and key cannot be used.
    pub fn new(listener: TcpListener, certificate: &Certificate) -> Result<Self, TlsError> {
        Ok(Self { listener, acceptor: certificate.acceptor()?, opening: JoinSet::new() })
    }
}

impl Listener for EitherListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if self.opening.len() < OPENING => match accepted {
                    Ok((stream, peer)) => drop(self.opening.spawn(open(stream, peer, self.acceptor.clone()))),
                    Err(error) if concerns_one_client(&error) => {}
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
                Some(opened) = self.opening.join_next() => {
                    if let Ok(Some(connection)) = opened {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn concerns_one_client(error: &io::Error) -> bool {
    [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset].contains(&error.kind())
}

/// None when the client went away, was too slow, or speaks neither.
async fn open(stream: TcpStream, peer: SocketAddr, acceptor: TlsAcceptor) -> Option<(Connection, SocketAddr)> {
    let opened = tokio::time::timeout(TIME, async {
        // Events of a watch are small and shall not wait for each other.
        stream.set_nodelay(true)?;
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        if first == [HANDSHAKE] { Ok(Connection::Tls(Box::new(acceptor.accept(stream).await?))) } else { Ok(Connection::Plain(stream)) }
    });
    Some((opened.await.ok()?.ok()?, peer))
}

/// One connection.
pub enum Connection {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
