//! Passes bytes both ways between two streams, until both are at their end, one breaks, or what is left of them is silent.

use smol::future::{self, Future};
use smol::io::{AsyncRead, AsyncWrite};
use smol::{Async, Timer};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{ready, Context, Poll};
use std::time::Duration;

/// The room for what one side is faster with, each way. On the heap: a future that holds it is moved about.
const PIECE: usize = 8 * 1024;
/// After so many pieces others have their turn.
const TURN: usize = 16;
/// Once one side has ended, the other one is not waited for for longer than this while it is silent: somebody who never
/// ends would keep a place that others want.
const HALF_SILENCE: Duration = Duration::from_secs(60);

/// What can be read and written.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// All streams are of one type, so that the code for passing bytes is there once.
pub(crate) type Stream = Box<dyn Duplex>;

/// A connection as such a stream.
pub(crate) fn tcp(stream: Async<TcpStream>) -> Stream {
    Box::new(Tcp(stream))
}

/// `Async` alone would keep its end to itself.
struct Tcp(Async<TcpStream>);

impl AsyncRead for Tcp {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, into)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.get_ref().shutdown(Shutdown::Write))
    }
}

/// Passes bytes until both sides are done. The end of one is passed on too.
///
/// # Errors
/// What broke either; or after the end of one the other was silent.
pub(crate) async fn relay(one: Stream, other: Stream) -> io::Result<()> {
    relay_until(one, other, HALF_SILENCE).await
}

async fn relay_until(mut one: Stream, mut other: Stream, silence: Duration) -> io::Result<()> {
    let (mut there, mut back) = (Half::new(), Half::new());
    let (mut passed, mut silent) = (0, None);
    future::poll_fn(|cx| {
        let ends = (there.poll(cx, &mut one, &mut other)?, back.poll(cx, &mut other, &mut one)?);
        let now = there.passed.wrapping_add(back.passed);
        match ends {
            (Poll::Ready(()), Poll::Ready(())) => return Poll::Ready(Ok(())),
            (Poll::Pending, Poll::Pending) => return Poll::Pending,
            _ if passed != now || silent.is_none() => (passed, silent) = (now, Some(Timer::after(silence))),
            _ => {}
        }
        let over = silent.as_mut().is_some_and(|silent| Pin::new(silent).poll(cx).is_ready());
        if over {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    })
    .await
}

/// One way.
struct Half {
    piece: Vec<u8>,
    /// What of the piece is still to be written.
    from: usize,
    to: usize,
    /// Nothing more comes.
    ended: bool,
    /// That was passed on.
    done: bool,
    /// How many pieces or parts of them were passed on.
    passed: usize,
}

impl Half {
    fn new() -> Half {
        Half { piece: vec![0; PIECE], from: 0, to: 0, ended: false, done: false, passed: 0 }
    }

    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Stream, to: &mut Stream) -> Poll<io::Result<()>> {
        for _ in 0..TURN {
            if self.done {
                return Poll::Ready(Ok(()));
            }
            if self.from < self.to {
                let rest = self.piece.get(self.from..self.to).unwrap_or_default();
                match ready!(Pin::new(&mut *to).poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => (self.from, self.passed) = (self.from + count, self.passed.wrapping_add(1)),
                }
            } else if self.ended {
                ready!(Pin::new(&mut *to).poll_close(cx))?;
                self.done = true;
            } else {
                let Poll::Ready(count) = Pin::new(&mut *from).poll_read(cx, &mut self.piece)? else {
                    // Nothing waits in between while nothing comes.
                    let _ = Pin::new(&mut *to).poll_flush(cx)?;
                    return Poll::Pending;
                };
                (self.from, self.to, self.ended) = (0, count, count == 0);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use smol::io::{AsyncReadExt, AsyncWriteExt};
    use std::net::{Ipv4Addr, Shutdown, TcpListener};

    /// Two ends of one connection.
    fn pair() -> (Async<TcpStream>, Async<TcpStream>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Async::new(one).unwrap(), Async::new(listener.accept().unwrap().0).unwrap())
    }

    #[test]
    fn all_of_it_passes_both_ways_and_each_end_is_passed_on() {
        let ((mut visitor, one), (mut camera, other)) = (pair(), pair());
        let picture: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
        smol::block_on(async {
            let asks = async {
                visitor.write_all(b"play").await.unwrap();
                // Who has nothing more to say may still listen.
                visitor.get_ref().shutdown(Shutdown::Write).unwrap();
                let mut seen = Vec::new();
                visitor.read_to_end(&mut seen).await.unwrap();
                seen
            };
            let answers = async {
                let mut asked = Vec::new();
                camera.read_to_end(&mut asked).await.unwrap();
                camera.write_all(&picture).await.unwrap();
                drop(camera);
                asked
            };
            let relayed = relay(tcp(one), tcp(other));
            let ((seen, asked), relayed) = future::zip(future::zip(asks, answers), relayed).await;
            assert!(relayed.is_ok() && seen == picture && asked == b"play");
        });
    }

    /// Whoever comes by a tunnel may say nothing, and not end either when the camera does.
    #[test]
    fn a_silent_half_is_not_kept_for_good_but_one_that_speaks_is() {
        const SILENCE: Duration = Duration::from_millis(300);
        let ((mut visitor, one), (camera, other)) = (pair(), pair());
        smol::block_on(async {
            camera.get_ref().shutdown(Shutdown::Write).unwrap();
            let speaks = async {
                for _ in 0..8 {
                    visitor.write_all(b"x").await.unwrap();
                    Timer::after(SILENCE / 4).await;
                }
                std::time::Instant::now()
            };
            let relayed = async {
                let ended = relay_until(tcp(one), tcp(other), SILENCE).await.unwrap_err();
                (ended.kind(), std::time::Instant::now())
            };
            let (spoke, (kind, ended)) = future::zip(speaks, relayed).await;
            assert!(kind == io::ErrorKind::TimedOut && ended > spoke);
        });
        drop(camera);
    }

    #[test]
    fn what_breaks_one_side_ends_it() {
        let ((visitor, one), (camera, other)) = (pair(), pair());
        socket2::SockRef::from(&camera).set_linger(Some(Duration::ZERO)).unwrap();
        drop(camera);
        assert!(smol::block_on(relay(tcp(one), tcp(other))).is_err());
        drop(visitor);
    }
}
