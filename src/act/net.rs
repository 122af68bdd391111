//! Names to addresses, and a connection to the first address that answers (RFC 8305, simplified),
//! all under a deadline. What fails here fails before anything was sent.

use super::thread;
use crate::provider::{Failure, Kind};
use smol::future::{self, Future};
use smol::{Async, Timer};
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::pin::{pin, Pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
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
pub(crate) async fn within<T>(until: Instant, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut end = Timer::at(until);
    future::poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Pin::new(&mut end).poll(cx).map(|_| None),
    })
    .await
}

/// The future's result, or `None` once this machine has lost `source`, the address that it speaks from: an
/// answer cannot come any more, and to wait for it would only hold up the new address.
pub(super) async fn while_ours<T>(source: SocketAddr, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut check = Timer::after(SOURCE_CHECK);
    future::poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => poll_lost(source, &mut check, cx).map(|()| None),
    })
    .await
}

/// Ready at the first check at which the machine has lost the address.
fn poll_lost(source: SocketAddr, check: &mut Timer, cx: &mut Context<'_>) -> Poll<()> {
    while Pin::new(&mut *check).poll(cx).is_ready() {
        if !is_ours(source) {
            return Poll::Ready(());
        }
        check.set_after(SOURCE_CHECK);
    }
    Poll::Pending
}

/// Whether this machine has an address; true where it cannot be told. Sends nothing.
fn is_ours(addr: SocketAddr) -> bool {
    let lost = |error: &io::Error| error.kind() == io::ErrorKind::AddrNotAvailable;
    !UdpSocket::bind((addr.ip(), 0)).as_ref().is_err_and(lost)
}

/// One of many things that go on at once.
pub(crate) type Work<'a, T = ()> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Runs all of them at once.
pub(crate) async fn all(mut works: Vec<Work<'_>>) {
    future::poll_fn(|cx| {
        works.retain_mut(|work| work.as_mut().poll(cx).is_pending());
        if works.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// Tries several ways, each beginning when the one before it has failed or been silent for `pause`, beside those
/// that are still under way (RFC 8305 section 5). Ends with the first that succeeds; false when all have failed.
pub(super) async fn race(ways: Vec<Work<'_, bool>>, pause: Duration) -> bool {
    let mut waiting = ways.into_iter();
    let mut running = Vec::from_iter(waiting.next());
    let mut next = Timer::after(pause);
    future::poll_fn(|cx| loop {
        let (mut won, mut latest_failed) = (false, true);
        running.retain_mut(|way: &mut Work<bool>| {
            // After the first that succeeds nobody says anything more.
            let done = if won { Poll::Pending } else { way.as_mut().poll(cx) };
            won |= done == Poll::Ready(true);
            latest_failed = done.is_ready();
            done.is_pending()
        });
        if won {
            return Poll::Ready(true);
        }
        let due = Pin::new(&mut next).poll(cx).is_ready() || latest_failed;
        match if due { waiting.next() } else { None } {
            Some(way) => running.push(way),
            None if running.is_empty() => return Poll::Ready(false),
            None => return Poll::Pending,
        }
        next.set_after(pause);
    })
    .await
}

/// The addresses of a host that are tried, families taking turns, in the order that the C library prefers.
/// `who` begins the text of a failure.
///
/// # Errors
/// As [`lookup`].
pub(crate) async fn resolve(
    who: &str,
    host: &str,
    port: u16,
    until: Instant,
) -> Result<Vec<SocketAddr>, Failure> {
    lookup(who, host, port, until).await.map(take_turns)
}

/// All addresses of a host, in the order that the C library prefers. `who` begins the text of a failure.
///
/// The C library knows no deadline, so it works on a thread of its own that is left behind when time is up
/// and ends when the library gives up (some 10 to 30 s).
///
/// # Errors
/// [`Kind::NotReady`] when the resolver does not work, [`Kind::Unreachable`] when there is no such name.
pub(super) async fn lookup(
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
    let name = host.to_string();
    let running = thread::start("resolve", LOOKUP_STACK, move || {
        let found = (name.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        LOOKUPS.fetch_sub(1, Ordering::SeqCst);
        found
    });
    let running = running.map_err(|error| {
        LOOKUPS.fetch_sub(1, Ordering::SeqCst);
        Failure::new(Kind::NotReady, format!("{who}: no thread to look up the name: {error}"))
    })?;
    match within(until, running.result()).await.flatten() {
        Some(Ok(addrs)) if !addrs.is_empty() => Ok(addrs),
        Some(Ok(_)) => Err(no_such_host(who)),
        Some(Err(error)) => Err(judge_lookup(who, &error)),
        None => Err(stuck()),
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
pub(crate) async fn connect(
    who: &str,
    addrs: &[SocketAddr],
    until: Instant,
) -> Result<Async<TcpStream>, Failure> {
    match within(until, first_good(addrs)).await {
        Some(Ok(stream)) => {
            let _ = stream.get_ref().set_nodelay(true);
            Ok(stream)
        }
        Some(Err(error)) => Err(judge_connect(who, addrs, &error)),
        None => Err(Failure::new(Kind::Unreachable, format!("{who}: no connection in time; it may be down"))),
    }
}

/// A connection that was begun, once it stands.
pub(crate) async fn stands(begun: TcpStream) -> io::Result<Async<TcpStream>> {
    let stream = Async::new(begun)?;
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// A connection to a host by its name.
///
/// # Errors
/// As [`resolve`] and [`connect`].
pub(crate) async fn dial(
    who: &str,
    host: &str,
    port: u16,
    until: Instant,
) -> Result<Async<TcpStream>, Failure> {
    let addrs = resolve(who, host, port, until).await?;
    connect(who, &addrs, until).await
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

/// Tries the addresses in order.
async fn first_good(addrs: &[SocketAddr]) -> io::Result<Async<TcpStream>> {
    let (won, failed) = (RefCell::new(None), RefCell::new(None));
    let way = |addr: &SocketAddr| -> Work<bool> {
        let (addr, won, failed) = (*addr, &won, &failed);
        Box::pin(async move {
            match Async::<TcpStream>::connect(addr).await {
                Ok(stream) => {
                    won.replace(Some(stream));
                    true
                }
                Err(error) => {
                    let before = failed.take();
                    failed.replace(Some(match before {
                        Some(before) => telling(before, error),
                        None => error,
                    }));
                    false
                }
            }
        })
    };
    race(addrs.iter().map(way).collect(), STAGGER).await;
    let failed = failed.take().unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
    won.take().ok_or(failed)
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
    fn all_ends_when_the_last_has_ended() {
        let ended = RefCell::new(Vec::new());
        let work = |pauses: u8| -> Work {
            let ended = &ended;
            Box::pin(async move {
                for _ in 0..pauses {
                    future::yield_now().await;
                }
                ended.borrow_mut().push(pauses);
            })
        };
        smol::block_on(all(vec![work(2), work(0), work(1)]));
        assert_eq!(*ended.borrow(), [0, 1, 2]);
    }

    #[test]
    fn a_race_begins_the_next_after_a_failure_or_a_silence() {
        let begun = RefCell::new(String::new());
        let way = |name: char| -> Work<bool> {
            let begun = &begun;
            Box::pin(async move {
                begun.borrow_mut().push(name);
                match name {
                    's' => future::pending().await,
                    name => name == 'g',
                }
            })
        };
        let run = |names: &str, pause: Duration| {
            let won = smol::block_on(race(names.chars().map(way).collect(), pause));
            (won, begun.take())
        };
        let (long, short) = (Duration::from_secs(600), Duration::from_millis(1));
        assert_eq!(run("bbgb", long), (true, "bbg".into()));
        assert_eq!(run("bb", long), (false, "bb".into()));
        assert_eq!(run("sbsg", short), (true, "sbsg".into()));
        assert_eq!(run("", long), (false, String::new()));
    }
}
