//! TLS over a socket, and its cryptography: ring's, and of it what the providers' servers speak. The linker drops
//! what is not named here.
//!
//! TLS 1.3 and 1.2 with AES-128-GCM, ChaCha20-Poly1305 or AES-256-GCM (RFC 8446 section 9.1, RFC 9325 section 4.2);
//! keys agreed by X25519 or P-256; certificates with RSA, or ECDSA on P-256 and P-384. Left out: P-384 for the
//! agreement of keys, which no server asks for that has neither of the others; Ed25519 in certificates, which no public
//! authority gives out (CA/Browser Forum, Baseline Requirements 6.1.1.5), for its 18 KiB; lists of revoked certificates,
//! which nobody hands us; resumption, for which updates are too rare.

use super::http::{Fault, Http};
use super::net::within;
use crate::provider::{Failure, Kind};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    verify_server_cert_signed_by_trust_anchor, verify_server_name, ClientConnection, Resumption,
};
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature, CryptoProvider};
use rustls::crypto::{
    GetRandomFailed, KeyProvider, SecureRandom, SupportedKxGroup, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, SupportedCipherSuite,
};
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use smol::lock::Mutex;
use smol::Async;
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{ready, Context, Poll};
use std::time::Instant;
use webpki::ring as webpki_ring;

/// The suites, the better ones first; a router's processor has no instructions for AES, so that ChaCha20 comes
/// before AES-256.
const SUITES: [SupportedCipherSuite; 9] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
];
/// How keys are agreed.
const GROUPS: [&dyn SupportedKxGroup; 2] = [kx_group::X25519, kx_group::SECP256R1];
/// What may sign a certificate, and a handshake by a certificate's key (RFC 8446 section 4.2.3).
const ALGORITHMS: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        webpki_ring::ECDSA_P256_SHA256,
        webpki_ring::ECDSA_P256_SHA384,
        webpki_ring::ECDSA_P384_SHA256,
        webpki_ring::ECDSA_P384_SHA384,
        webpki_ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        webpki_ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        webpki_ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        webpki_ring::RSA_PKCS1_2048_8192_SHA256,
        webpki_ring::RSA_PKCS1_2048_8192_SHA384,
        webpki_ring::RSA_PKCS1_2048_8192_SHA512,
    ],
    mapping: &[
        // Within TLS 1.2 the name of a scheme does not fix the curve.
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[webpki_ring::ECDSA_P384_SHA384, webpki_ring::ECDSA_P256_SHA384],
        ),
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[webpki_ring::ECDSA_P256_SHA256, webpki_ring::ECDSA_P384_SHA256],
        ),
        (SignatureScheme::RSA_PSS_SHA512, &[webpki_ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA384, &[webpki_ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY]),
        (SignatureScheme::RSA_PSS_SHA256, &[webpki_ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY]),
        (SignatureScheme::RSA_PKCS1_SHA512, &[webpki_ring::RSA_PKCS1_2048_8192_SHA512]),
        (SignatureScheme::RSA_PKCS1_SHA384, &[webpki_ring::RSA_PKCS1_2048_8192_SHA384]),
        (SignatureScheme::RSA_PKCS1_SHA256, &[webpki_ring::RSA_PKCS1_2048_8192_SHA256]),
    ],
};
/// The piece in which bytes are read.
const PIECE: usize = 8 * 1024;
/// After so many pieces others have their turn.
const TURN: usize = 16;

/// A client's end of TLS. The socket is handed to each call, for two of them go on at the same time.
pub(super) struct Secure {
    connection: RefCell<ClientConnection>,
    /// Held while records are written: they must not be mixed.
    writing: Mutex<()>,
}

/// What the server's bytes held.
pub(super) struct Opened {
    /// The content.
    pub(super) plain: Vec<u8>,
    /// Nothing more will come.
    pub(super) end: bool,
    /// It ended without saying so: something may be missing.
    pub(super) torn: bool,
}

impl Secure {
    /// Prepares a connection to a host whose certificate one of the roots vouches for.
    pub(super) fn new(roots: RootCertStore, host: &str) -> Result<Secure, Error> {
        Secure::with(Trust::Roots(roots), host)
    }

    fn with(trust: Trust, host: &str) -> Result<Secure, Error> {
        let name = ServerName::try_from(host.to_string())
            .map_err(|_| Error::General("the host's name cannot stand in a certificate".into()))?;
        let connection = ClientConnection::new(Arc::new(config(trust)?), name)?;
        Ok(Secure { connection: RefCell::new(connection), writing: Mutex::new(()) })
    }

    /// Agrees keys with the server and checks its certificate.
    pub(super) async fn handshake(&self, mut server: &Async<TcpStream>) -> Result<(), Fault> {
        let mut piece = vec![0; PIECE];
        while self.connection.borrow().is_handshaking() {
            self.flush(server).await?;
            if !self.connection.borrow().is_handshaking() {
                break;
            }
            let count = server.read(&mut piece).await?;
            if count == 0 {
                return Err(Fault::Cut);
            }
            let mut rest = piece.get(..count).unwrap_or_default();
            while !rest.is_empty() {
                if let Err(error) = self.feed(&mut rest) {
                    // The server may be told why.
                    let _ = self.flush(server).await;
                    return Err(error);
                }
            }
        }
        self.flush(server).await
    }

    /// Sends content.
    pub(super) async fn send(&self, server: &Async<TcpStream>, plain: &[u8]) -> Result<(), Fault> {
        let mut rest = plain;
        while !rest.is_empty() {
            let taken = self.connection.borrow_mut().writer().write(rest)?;
            rest = rest.get(taken..).unwrap_or_default();
            self.flush(server).await?;
        }
        Ok(())
    }

    /// Says that nothing more will be sent.
    pub(super) async fn close(&self, server: &Async<TcpStream>) {
        self.connection.borrow_mut().send_close_notify();
        let _ = self.flush(server).await;
    }

    /// Opens what the server sent; no bytes are its end.
    pub(super) async fn open(&self, server: &Async<TcpStream>, bytes: &[u8]) -> Result<Opened, Fault> {
        let mut opened = Opened { plain: Vec::new(), end: false, torn: false };
        let mut rest = bytes;
        loop {
            self.feed(&mut rest)?;
            let read = self.connection.borrow_mut().reader().read_to_end(&mut opened.plain);
            match read.map_err(|error| error.kind()) {
                Ok(_) => opened.end = true,
                Err(io::ErrorKind::WouldBlock) => {}
                Err(_) => (opened.end, opened.torn) = (true, true),
            }
            if rest.is_empty() || opened.end {
                break;
            }
        }
        self.flush(server).await?;
        Ok(opened)
    }

    /// Hands the server's bytes to TLS, as many as it takes at once.
    fn feed(&self, bytes: &mut &[u8]) -> Result<(), Fault> {
        let mut connection = self.connection.borrow_mut();
        if connection.read_tls(bytes)? == 0 {
            // Nothing is taken after the server's farewell (RFC 8446 section 6.1): none of it ever would be.
            *bytes = &[];
        }
        connection.process_new_packets().map_err(Fault::Tls)?;
        Ok(())
    }

    /// Writes the records that wait.
    async fn flush(&self, mut server: &Async<TcpStream>) -> Result<(), Fault> {
        let _guard = self.writing.lock().await;
        let mut records = Vec::new();
        loop {
            let mut connection = self.connection.borrow_mut();
            if !connection.wants_write() {
                break;
            }
            connection.write_tls(&mut records)?;
        }
        Ok(server.write_all(&records).await?)
    }
}

/// A connection under TLS, as a stream.
pub(crate) struct Sealed {
    socket: Async<TcpStream>,
    connection: ClientConnection,
    /// Records that wait to be sent.
    records: Vec<u8>,
    /// What came, of which TLS has not taken `from..to`.
    piece: Vec<u8>,
    from: usize,
    to: usize,
}

/// Puts a connection under TLS. `name` is what the certificate must be for; without `verify` any certificate is taken,
/// and whoever sits between may be the server.
///
/// # Errors
/// As [`Http::exchange`] has them; nothing was sent but for TLS.
pub(crate) async fn seal(
    http: &Http,
    who: &str,
    (name, verify): (&str, bool),
    socket: Async<TcpStream>,
    until: Instant,
) -> Result<Sealed, Failure> {
    let trust = if verify { Trust::Roots(http.roots(who)?) } else { Trust::Anybody };
    let broke = |text: &str| Failure::new(Kind::Unreachable, [who, ": ", text].concat());
    let failed = |error: &Error| http.judge_tls(error, false, &broke, who);
    let secure = Secure::with(trust, name).map_err(|error| failed(&error))?;
    match within(until, secure.handshake(&socket)).await {
        Some(Ok(())) => {}
        Some(Err(Fault::Tls(error))) => return Err(failed(&error)),
        Some(Err(_)) => return Err(broke("the connection was closed while TLS began; does it speak TLS?")),
        None => return Err(broke("no answer in time while TLS began; does it speak TLS?")),
    }
    let connection = secure.connection.into_inner();
    Ok(Sealed { socket, connection, records: Vec::new(), piece: vec![0; PIECE], from: 0, to: 0 })
}

impl Sealed {
    /// Sends the records that wait.
    fn poll_records(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.connection.wants_write() {
                self.connection.write_tls(&mut self.records)?;
            }
            if self.records.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = ready!(Pin::new(&mut &self.socket).poll_write(cx, &self.records))?;
            self.records.drain(..count);
        }
    }
}

impl AsyncRead for Sealed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        for _ in 0..TURN {
            match this.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            if this.from == this.to {
                this.to = ready!(Pin::new(&mut &this.socket).poll_read(cx, &mut this.piece))?;
                this.from = 0;
            }
            // No more at a time than TLS takes before its content is read; nothing at all is the end.
            let mut rest = this.piece.get(this.from..this.to).unwrap_or_default();
            this.from += this.connection.read_tls(&mut rest)?;
            this.connection.process_new_packets().map_err(io::Error::other)?;
            // What TLS itself has to answer.
            let _ = this.poll_records(cx)?;
        }
        // Records without content, as many as the server likes.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncWrite for Sealed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_records(cx))?;
        let count = self.connection.writer().write(from.get(..PIECE).unwrap_or(from))?;
        let _ = self.poll_records(cx)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_records(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.send_close_notify();
        ready!(self.poll_records(cx))?;
        Pin::new(&mut &self.socket).poll_close(cx)
    }
}

/// Whose certificate is good.
#[derive(Debug)]
enum Trust {
    /// One that these vouch for.
    Roots(RootCertStore),
    /// Any: only that the server has its key is seen.
    Anybody,
}

/// The configuration of a connection.
fn config(trust: Trust) -> Result<ClientConfig, Error> {
    let provider = CryptoProvider {
        cipher_suites: SUITES.to_vec(),
        kx_groups: GROUPS.to_vec(),
        signature_verification_algorithms: ALGORITHMS,
        secure_random: &Kernel,
        key_provider: &NoKeys,
    };
    let builder =
        ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()?;
    let verifier = Arc::new(Verifier(trust));
    let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Verifies a server as rustls's own verifier does, by the same functions, without its lists of revoked certificates.
#[derive(Debug)]
struct Verifier(Trust);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Roots(roots) = &self.0 else { return Ok(ServerCertVerified::assertion()) };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, ALGORITHMS.all)?;
        verify_server_name(&certificate, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &ALGORITHMS)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &ALGORITHMS)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ALGORITHMS.supported_schemes()
    }
}

/// Random bytes of the kernel.
#[derive(Debug)]
struct Kernel;

impl SecureRandom for Kernel {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        getrandom::fill(bytes).map_err(|_| GetRandomFailed)
    }
}

/// Loads no private keys: a client without a certificate never signs.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("no client certificates here".into()))
    }
}
