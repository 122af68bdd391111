//! Passes bytes both ways between two streams, until both are at their end or one breaks.

use smol::future;
use smol::io::{AsyncRead, AsyncWrite};
use std::io;
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
