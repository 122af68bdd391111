//! yamux's streams over a connection, as streams: [`Streams::run`] passes bytes between them and it.

use super::relay::Stream;
use crate::wire::yamux::{Fault, Mux, Taken};
use smol::future;
use smol::io::{AsyncRead, AsyncWrite};
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll, Waker};

/// The piece in which the connection is read.
const PIECE: usize = 8 * 1024;
/// After so many pieces others have their turn.
const TURN: usize = 16;

/// The streams of a connection.
#[derive(Clone, Default)]
pub(super) struct Streams(Rc<Inside>);

#[derive(Default)]
struct Inside {
    mux: RefCell<Mux>,
    /// Who passes bytes.
    runner: RefCell<Option<Waker>>,
    /// Who waits for bytes or room, the longest first, so that all have their turn.
    waiting: RefCell<Vec<Waker>>,
}

impl Inside {
    fn wait(&self, cx: &Context<'_>) {
        let mut waiting = self.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
    }

    fn wake_streams(&self) {
        for waker in self.waiting.take() {
            waker.wake();
        }
    }

    /// There may be something to be sent now.
    fn wake_runner(&self) {
        if !self.mux.borrow().has_output() {
            return;
        }
        if let Some(waker) = self.runner.take() {
            waker.wake();
        }
    }
}

impl Streams {
    /// Opens a stream, if one may be.
    pub(super) fn open(&self) -> Option<Stream> {
        let id = self.0.mux.borrow_mut().open()?;
        self.0.wake_runner();
        Some(Box::new(Branch { inside: self.0.clone(), id, taken: Vec::new(), from: 0 }))
    }

    /// Passes bytes until the connection breaks, and says how; all streams are broken off then.
    pub(super) async fn run(&self, mut link: Stream) -> io::Error {
        let mut run = Run { piece: vec![0; PIECE], out: Vec::new(), from: 0 };
        let error = future::poll_fn(|cx| match run.poll(cx, &self.0, &mut link) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            _ => Poll::Pending,
        })
        .await;
        self.0.mux.replace(Mux::new());
        self.0.wake_streams();
        error
    }
}

/// What is on its way.
struct Run {
    piece: Vec<u8>,
    out: Vec<u8>,
    from: usize,
}

impl Run {
    fn poll(&mut self, cx: &mut Context<'_>, inside: &Inside, link: &mut Stream) -> Poll<io::Result<()>> {
        inside.runner.replace(Some(cx.waker().clone()));
        for _ in 0..TURN {
            let (sent, received) = (self.send(cx, inside, link), self.receive(cx, inside, link));
            if sent.is_pending() && received.is_pending() {
                return Poll::Pending;
            }
            for done in [sent, received] {
                if let Poll::Ready(Err(error)) = done {
                    return Poll::Ready(Err(error));
                }
            }
            inside.wake_streams();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Pending: nothing is to be sent, or it cannot be sent now.
    fn send(&mut self, cx: &mut Context<'_>, inside: &Inside, link: &mut Stream) -> Poll<io::Result<()>> {
        if self.from == self.out.len() {
            (self.out, self.from) = (inside.mux.borrow_mut().output(), 0);
        }
        let rest = self.out.get(self.from..).unwrap_or_default();
        if rest.is_empty() {
            ready!(Pin::new(link).poll_flush(cx))?;
            return Poll::Pending;
        }
        match ready!(Pin::new(link).poll_write(cx, rest))? {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            count => {
                self.from += count;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn receive(&mut self, cx: &mut Context<'_>, inside: &Inside, link: &mut Stream) -> Poll<io::Result<()>> {
        let count = ready!(Pin::new(link).poll_read(cx, &mut self.piece))?;
        let bytes = self.piece.get(..count).filter(|bytes| !bytes.is_empty());
        let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
        Poll::Ready(inside.mux.borrow_mut().receive(bytes).map_err(|fault| {
            io::Error::other(match fault {
                Fault::Foreign => "it does not speak yamux",
                Fault::Broken => "it does not keep to yamux",
                Fault::Away => "it gave up",
            })
        }))
    }
}

/// A stream; dropped, it is closed.
struct Branch {
    inside: Rc<Inside>,
    id: u32,
    /// What was taken and not read yet.
    taken: Vec<u8>,
    from: usize,
}

impl AsyncRead for Branch {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.from == this.taken.len() {
            match this.inside.mux.borrow_mut().take(this.id) {
                Taken::Bytes(bytes) => (this.taken, this.from) = (bytes, 0),
                Taken::End => return Poll::Ready(Ok(0)),
                Taken::Gone => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Taken::Nothing => {
                    this.inside.wait(cx);
                    return Poll::Pending;
                }
            }
        }
        let rest = this.taken.get(this.from..).unwrap_or_default();
        let count = rest.len().min(into.len());
        for (place, byte) in into.iter_mut().zip(rest) {
            *place = *byte;
        }
        this.from += count;
        this.inside.mux.borrow_mut().consumed(this.id, count);
        this.inside.wake_runner();
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Branch {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let sent = self.inside.mux.borrow_mut().send(self.id, from);
        match sent {
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(0) if !from.is_empty() => {
                self.inside.wait(cx);
                Poll::Pending
            }
            Some(count) => {
                self.inside.wake_runner();
                Poll::Ready(Ok(count))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inside.mux.borrow_mut().finish(self.id);
        self.inside.wake_runner();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Branch {
    fn drop(&mut self) {
        self.inside.mux.borrow_mut().close(self.id);
        self.inside.wake_runner();
    }
}
