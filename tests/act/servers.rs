//! Servers on the loopback interface that do as they are told, and certificates for them.

use porchlight::wire::dns::Message;
use rcgen::{
    date_time_ymd, BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A connection, with TLS or without.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// What a TLS server shows.
pub type Identity = Arc<ServerConfig>;

/// A CA whose certificate lies in a file, and servers' identities.
pub struct Trusted {
    pub file: PathBuf,
    pub good: Identity,
    pub expired: Identity,
    pub future: Identity,
    pub misnamed: Identity,
    /// By a CA that is in no file.
    pub stranger: Identity,
    /// Not for a server.
    pub for_clients: Identity,
}

/// Made once for the process.
pub fn trusted() -> &'static Trusted {
    static TRUSTED: OnceLock<Trusted> = OnceLock::new();
    TRUSTED.get_or_init(|| {
        let (issuer, pem) = authority("Test CA");
        let (other, _) = authority("Another CA");
        let file = own_file();
        std::fs::write(&file, pem).unwrap();
        Trusted {
            file,
            good: identity(&issuer, "localhost", 2020, 2090),
            expired: identity(&issuer, "localhost", 2020, 2021),
            future: identity(&issuer, "localhost", 2098, 2099),
            misnamed: identity(&issuer, "other.example.com", 2020, 2090),
            stranger: identity(&other, "localhost", 2020, 2090),
            for_clients: identity_for(&issuer, "localhost", 2020, 2090, ExtendedKeyUsagePurpose::ClientAuth),
        }
    })
}

/// A file of this process; those of processes that have ended are removed.
fn own_file() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    for entry in std::fs::read_dir(&folder).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("act-").and_then(|rest| rest.split('.').next()).map(str::to_string);
        if owner.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    folder.join(format!("act-{}.pem", std::process::id()))
}

fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

/// Valid from the 2nd of January of one year to the 3rd of February of another.
fn identity(issuer: &Issuer<'static, KeyPair>, name: &str, from: i32, to: i32) -> Identity {
    identity_for(issuer, name, from, to, ExtendedKeyUsagePurpose::ServerAuth)
}

fn identity_for(
    issuer: &Issuer<'static, KeyPair>,
    name: &str,
    from: i32,
    to: i32,
    purpose: ExtendedKeyUsagePurpose,
) -> Identity {
    let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
    params.extended_key_usages = vec![purpose];
    params.not_before = date_time_ymd(from, 1, 2);
    params.not_after = date_time_ymd(to, 2, 3);
    let key = KeyPair::generate().unwrap();
    let cert: CertificateDer = params.signed_by(&key, issuer).unwrap().der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![cert], key).unwrap())
}

/// A listener, and the beginning of URLs that lead to it.
pub fn listen(scheme: &str) -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("{scheme}://localhost:{port}"))
}

/// An HTTP server: each connection on its own thread, closed when `answer` returns.
pub fn plain(answer: impl Fn(&mut dyn Stream) + Send + Clone + 'static) -> String {
    let (listener, origin) = listen("http");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                answer(&mut stream);
                finish(&stream);
            });
        }
    });
    origin
}

/// The same with TLS. A failed handshake ends the connection.
pub fn tls(identity: &Identity, answer: impl Fn(&mut dyn Stream) + Send + Clone + 'static) -> String {
    let (listener, origin) = listen("https");
    let identity = identity.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, identity, answer) = (stream.unwrap(), identity.clone(), answer.clone());
            std::thread::spawn(move || {
                let mut session = ServerConnection::new(identity).unwrap();
                while session.is_handshaking() {
                    if session.complete_io(&mut stream).is_err() {
                        return finish(&stream);
                    }
                }
                let mut stream = StreamOwned::new(session, stream);
                answer(&mut stream);
                stream.conn.send_close_notify();
                let _ = stream.flush();
                finish(&stream.sock);
            });
        }
    });
    origin
}

/// Closes in good order: what the client still sends must not turn into a reset.
fn finish(mut stream: &TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Reads a request with its body.
pub fn read_request(stream: &mut (impl Read + ?Sized)) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    let mut wanted = usize::MAX;
    while text.len() < wanted && matches!(stream.read(&mut byte), Ok(1)) {
        text.push(byte[0]);
        if wanted == usize::MAX && text.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            wanted = text.len() + length.map_or(0, |length| length.trim().parse::<usize>().unwrap());
        }
    }
    String::from_utf8(text).unwrap()
}

/// A UDP socket and a TCP listener on one port.
pub fn udp_and_tcp() -> (UdpSocket, TcpListener, SocketAddr) {
    for _ in 0..100 {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = socket.local_addr().unwrap();
        if let Ok(listener) = TcpListener::bind(addr) {
            return (socket, listener, addr);
        }
    }
    panic!("no port is free for both");
}

/// UDP sockets on 127.0.0.1, .2 and .3 with one port.
pub fn three_alike() -> [UdpSocket; 3] {
    for _ in 0..100 {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        if let (Ok(second), Ok(third)) =
            (UdpSocket::bind(("127.0.0.2", port)), UdpSocket::bind(("127.0.0.3", port)))
        {
            return [first, second, third];
        }
    }
    panic!("no port is free for all three");
}

/// Answers every DNS message that comes.
pub fn answer_udp(socket: UdpSocket, answer: impl Fn(&Message) -> Message + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((count, from)) = socket.recv_from(&mut buffer) {
            let message = Message::parse(&buffer[..count]).unwrap();
            let _ = socket.send_to(&answer(&message).to_bytes().unwrap(), from);
        }
    });
}
