//! Passes bytes both ways between two streams, until both are at their end or one breaks.

use smol::future;
use smol::io::{AsyncRead, AsyncWrite};
use smol::Async;
use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{ready, Context, Poll};

/// The room for what one side is faster with, each way. On the heap: a future that holds it is moved about.
const PIECE: usize = 8 * 1024;
/// After so many pieces others have their turn.
const TURN: usize = 16;

/// What can be read and written.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// All streams are of one type, so that the code for passing bytes is there once.
pub(crate) type Stream = Box<dyn Duplex>;

/// A connection as such a stream. `Async` alone would keep its end to itself.
pub(crate) fn tcp(stream: Async<TcpStream>) -> Stream {
    Box::new(smol::net::TcpStream::from(stream))
}

/// Passes bytes until both sides are done. The end of one is passed on too.
///
/// # Errors
/// What broke either.
pub(crate) async fn relay(mut one: Stream, mut other: Stream) -> io::Result<()> {
    let (mut there, mut back) = (Half::new(), Half::new());
    future::poll_fn(|cx| {
        let there = there.poll(cx, &mut one, &mut other)?;
        let back = back.poll(cx, &mut other, &mut one)?;
        if there.is_ready() && back.is_ready() {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
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
}

impl Half {
    fn new() -> Half {
        Half { piece: vec![0; PIECE], from: 0, to: 0, ended: false, done: false }
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
                    count => self.from += count,
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

    #[test]
    fn what_breaks_one_side_ends_it() {
        let ((visitor, one), (camera, other)) = (pair(), pair());
        socket2::SockRef::from(&camera).set_linger(Some(std::time::Duration::ZERO)).unwrap();
        drop(camera);
        assert!(smol::block_on(relay(tcp(one), tcp(other))).is_err());
        drop(visitor);
    }
}
