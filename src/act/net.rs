//! Names to addresses, and a connection to the first address that answers (RFC 8305, simplified),
//! all under a deadline. What fails here fails before anything was sent.

use crate::provider::{Failure, Kind};
use smol::future::{self, Future};
use smol::{Async, Timer};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

/// The most addresses of one host that are tried.
pub(super) const MAX_ADDRS: usize = 6;
/// How long an address may be silent before the next one is tried beside it (RFC 8305 section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// While an answer is awaited, how often it is checked that it can still come (see [`while_ours`]).
const SOURCE_CHECK: Duration = Duration::from_millis(50);
/// The most name look-ups that may be stuck in the C library at once.
const MAX_LOOKUPS: usize = 32;
/// Stack of a thread that looks up one name; the C libraries keep their answers' buffers on it.
const LOOKUP_STACK: usize = 256 * 1024;

/// Name look-ups that are under way, abandoned ones among them.
static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// The future's result, or `None` when the time is up first.
pub(super) async fn within<T>(until: Instant, work: impl Future<Output = T>) -> Option<T> {
    future::or(async { Some(work.await) }, async {
        Timer::at(until).await;
        None
    })
    .await
}

/// The future's result, or `None` once this machine has lost `source`, the address that it speaks from: an
/// answer cannot come any more, and to wait for it would only hold up the new address.
pub(super) async fn while_ours<T>(source: SocketAddr, work: impl Future<Output = T>) -> Option<T> {
    future::or(async { Some(work.await) }, async {
        loop {
            Timer::after(SOURCE_CHECK).await;
            if !is_ours(source) {
                return None;
            }
        }
    })
    .await
}

/// Whether this machine has an address; true where it cannot be told. Sends nothing.
fn is_ours(addr: SocketAddr) -> bool {
    let lost = |error: &io::Error| error.kind() == io::ErrorKind::AddrNotAvailable;
    !UdpSocket::bind((addr.ip(), 0)).as_ref().is_err_and(lost)
}

/// Runs all of them at once; the results are in the order of the futures.
pub(super) async fn all<T>(works: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut slots: Vec<_> = works.into_iter().map(|work| (Some(work), None)).collect();
    future::poll_fn(move |cx| {
        let mut open = false;
        for (work, result) in &mut slots {
            match work.as_mut().map(|work| work.as_mut().poll(cx)) {
                Some(Poll::Ready(value)) => {
                    *work = None;
                    *result = Some(value);
                }
                Some(Poll::Pending) => open = true,
                None => {}
            }
        }
        if open {
            return Poll::Pending;
        }
        Poll::Ready(slots.iter_mut().filter_map(|(_, result)| result.take()).collect())
    })
    .await
}

/// The addresses of a host, families taking turns, in the order that the C library prefers.
/// `who` begins the text of a failure.
///
/// The C library knows no deadline, so it works on a thread of its own that is left behind when time is up
/// and ends when the library gives up (some 10 to 30 s).
///
/// # Errors
/// [`Kind::NotReady`] when the resolver does not work, [`Kind::Unreachable`] when there is no such name.
pub(super) async fn resolve(
    who: &str,
    host: &str,
    port: u16,
    until: Instant,
) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(addr) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(addr, port)]);
    }
    let stuck = || Failure::new(Kind::NotReady, format!("{who}: the resolver does not answer"));
    if LOOKUPS.fetch_add(1, Ordering::SeqCst) >= MAX_LOOKUPS {
        LOOKUPS.fetch_sub(1, Ordering::SeqCst);
        return Err(stuck());
    }
    let (sender, receiver) = smol::channel::bounded(1);
    let name = host.to_string();
    let thread = std::thread::Builder::new().name("resolve".into()).stack_size(LOOKUP_STACK);
    let spawned = thread.spawn(move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        LOOKUPS.fetch_sub(1, Ordering::SeqCst);
        let _ = sender.try_send(found);
    });
    if let Err(error) = spawned {
        LOOKUPS.fetch_sub(1, Ordering::SeqCst);
        return Err(Failure::new(Kind::NotReady, format!("{who}: no thread to look up the name: {error}")));
    }
    match within(until, receiver.recv()).await {
        Some(Ok(Ok(addrs))) if !addrs.is_empty() => Ok(take_turns(addrs)),
        Some(Ok(Ok(_))) => Err(no_such_host(who)),
        Some(Ok(Err(error))) => Err(judge_lookup(who, &error)),
        Some(Err(_)) | None => Err(stuck()),
    }
}

/// The C library's words are all that std passes on: what says that there is no such name is not the resolver's fault.
fn judge_lookup(who: &str, error: &io::Error) -> Failure {
    const NO_NAME: [&str; 4] = [
        "Name or service not known",
        "No address associated",
        "Name does not resolve",
        "Name has no usable address",
    ];
    let text = error.to_string();
    if NO_NAME.iter().any(|words| text.contains(words)) {
        return no_such_host(who);
    }
    Failure::new(
        Kind::NotReady,
        format!("{who}: the name could not be looked up, is there a working resolver? ({text})"),
    )
}

/// The name is not there.
fn no_such_host(who: &str) -> Failure {
    Failure::new(Kind::Unreachable, format!("{who}: there is no host of this name; check its spelling"))
}

/// Lets the families take turns, beginning with the first address's, and keeps at most [`MAX_ADDRS`].
fn take_turns(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v4 = addrs.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addrs.into_iter().partition(|addr| addr.is_ipv4() == first_is_v4);
    let mut second = second.into_iter();
    let mut mixed = Vec::new();
    for addr in first {
        mixed.push(addr);
        mixed.extend(second.next());
    }
    mixed.extend(second);
    mixed.truncate(MAX_ADDRS);
    mixed
}

/// A connection to the first of `addrs` that takes it. `who` begins the text of a failure.
///
/// # Errors
/// [`Kind::NotReady`] when no address has a route from here, else [`Kind::Unreachable`].
pub(super) async fn connect(
    who: &str,
    addrs: &[SocketAddr],
    until: Instant,
) -> Result<Async<TcpStream>, Failure> {
    match within(until, race(addrs)).await {
        Some(Ok(stream)) => {
            let _ = stream.get_ref().set_nodelay(true);
            Ok(stream)
        }
        Some(Err(error)) => Err(judge_connect(who, addrs, &error)),
        None => Err(Failure::new(Kind::Unreachable, format!("{who}: no connection in time; it may be down"))),
    }
}

/// What a failed connection means.
pub(super) fn judge_connect(who: &str, addrs: &[SocketAddr], error: &io::Error) -> Failure {
    if !addrs.iter().any(|addr| routed(*addr)) {
        return Failure::new(Kind::NotReady, format!("{who}: there is no route to it; the WAN may be down"));
    }
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "the connection was refused; check the port, the service may be down".into()
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            "a router says it cannot be reached".into()
        }
        _ => format!("no connection: {error}"),
    };
    Failure::new(Kind::Unreachable, format!("{who}: {text}"))
}

/// True if this machine has a route and a source address for `addr`. Sends nothing.
pub(super) fn routed(addr: SocketAddr) -> bool {
    let any: IpAddr = match addr {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((any, 0)).and_then(|socket| socket.connect(addr)).is_ok()
}

/// A connection in the making.
type Attempt<'a> = Pin<Box<dyn Future<Output = io::Result<Async<TcpStream>>> + Send + 'a>>;

/// Tries the addresses in order, each beginning when the one before has failed or been silent for [`STAGGER`].
fn race(addrs: &[SocketAddr]) -> Attempt<'_> {
    Box::pin(async move {
        let Some((first, rest)) = addrs.split_first() else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        let mut attempt: Attempt = Box::pin(Async::<TcpStream>::connect(*first));
        if rest.is_empty() {
            return attempt.await;
        }
        match within(Instant::now() + STAGGER, &mut attempt).await {
            Some(Ok(stream)) => Ok(stream),
            Some(Err(error)) => race(rest).await.map_err(|later| telling(error, later)),
            None => first_good(attempt, race(rest)).await,
        }
    })
}

/// The first of two connections that succeeds.
async fn first_good(mut a: Attempt<'_>, mut b: Attempt<'_>) -> io::Result<Async<TcpStream>> {
    let mut failed: [Option<io::Error>; 2] = [None, None];
    future::poll_fn(move |cx| {
        for (attempt, failed) in [&mut a, &mut b].into_iter().zip(&mut failed) {
            if failed.is_none() {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok(stream)),
                    Poll::Ready(Err(error)) => *failed = Some(error),
                    Poll::Pending => {}
                }
            }
        }
        match &mut failed {
            [a @ Some(_), b @ Some(_)] => match (a.take(), b.take()) {
                (Some(a), Some(b)) => Poll::Ready(Err(telling(a, b))),
                _ => Poll::Pending,
            },
            _ => Poll::Pending,
        }
    })
    .await
}

/// Of two failures the one that says more: an answer from afar says more than a missing route.
fn telling(first: io::Error, later: io::Error) -> io::Error {
    match first.kind() {
        io::ErrorKind::ConnectionRefused => first,
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::AddrNotAvailable => later,
        _ if later.kind() == io::ErrorKind::ConnectionRefused => later,
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let addr = |text: &str| SocketAddr::new(text.parse().unwrap(), 80);
        let mixed = take_turns(["::1", "::2", "::3", "192.0.2.1", "192.0.2.2"].map(addr).to_vec());
        assert_eq!(mixed, ["::1", "192.0.2.1", "::2", "192.0.2.2", "::3"].map(addr));
        let many = (0..20).map(|n| SocketAddr::from(([192, 0, 2, n], 80))).collect();
        assert_eq!(take_turns(many).len(), MAX_ADDRS);
    }

    #[test]
    fn what_the_c_libraries_say() {
        let judge = |text: &str| judge_lookup("x", &io::Error::other(text)).kind;
        // glibc and musl: NXDOMAIN, then no answer.
        assert_eq!(
            judge("failed to lookup address information: Name or service not known"),
            Kind::Unreachable
        );
        assert_eq!(judge("failed to lookup address information: Name does not resolve"), Kind::Unreachable);
        let temporary = "failed to lookup address information: Temporary failure in name resolution";
        assert_eq!(judge(temporary), Kind::NotReady);
        assert_eq!(judge("failed to lookup address information: Try again"), Kind::NotReady);
    }

    #[test]
    fn a_dead_address_does_not_hide_a_live_one() {
        let live = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let addrs = [dead, live.local_addr().unwrap()];
        let stream = smol::block_on(connect("x", &addrs, until)).unwrap();
        assert_eq!(stream.get_ref().peer_addr().unwrap(), addrs[1]);
        let failure = smol::block_on(connect("x", &[dead], until)).unwrap_err();
        assert_eq!(failure.kind, Kind::Unreachable);
        assert!(failure.text.contains("refused"), "{}", failure.text);
    }

    #[test]
    fn a_silent_address_does_not_hide_a_live_one() {
        // A listener whose queue is full is silent to the next connection.
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let _fill: Vec<_> =
            (0..4).map(|_| smol::block_on(future::poll_once(Async::<TcpStream>::connect(silent)))).collect();
        let mut held = Vec::new();
        while let Some(Ok(stream)) = smol::block_on(within(
            Instant::now() + Duration::from_millis(200),
            Async::<TcpStream>::connect(silent),
        )) {
            held.push(stream);
            assert!(held.len() < 50, "the queue never fills");
        }
        let live = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let addrs = [silent, live.local_addr().unwrap()];
        let stream = smol::block_on(connect("x", &addrs, until)).unwrap();
        assert_eq!(stream.get_ref().peer_addr().unwrap(), addrs[1]);
        let soon = Instant::now() + Duration::from_millis(100);
        assert_eq!(smol::block_on(connect("x", &[silent], soon)).unwrap_err().kind, Kind::Unreachable);
    }

    #[test]
    fn a_lost_source_ends_the_wait() {
        let ours = SocketAddr::from(([127, 0, 0, 1], 9));
        let lost = SocketAddr::from(([192, 0, 2, 1], 9));
        assert!(is_ours(ours) && is_ours("[::ffff:0:0]:9".parse().unwrap()) && !is_ours(lost));
        assert_eq!(smol::block_on(while_ours(ours, async { 7 })), Some(7));
        assert_eq!(smol::block_on(while_ours(lost, future::pending::<u8>())), None);
        let slow = async {
            Timer::after(SOURCE_CHECK * 3).await;
            7
        };
        assert_eq!(smol::block_on(while_ours(ours, slow)), Some(7));
    }

    #[test]
    fn all_keeps_the_order() {
        let works: Vec<Pin<Box<dyn Future<Output = u8> + Send>>> = vec![
            Box::pin(async {
                future::yield_now().await;
                1
            }),
            Box::pin(async { 2 }),
        ];
        assert_eq!(smol::block_on(all(works)), [1, 2]);
    }
}
