//! Work that blocks, on a thread of its own, which is std's and ends with it. All of it is of one type, so that the
//! code for starting it is there once.

use smol::channel::{bounded, Receiver};
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::Builder;

/// Work that is under way. If this is dropped, the work still ends by itself.
pub(super) struct Running<T> {
    result: Arc<Mutex<Option<T>>>,
    /// Closed when the work has ended.
    ended: Receiver<()>,
}

/// Starts a thread with so large a stack, of which only what is used is resident.
///
/// # Errors
/// When the system has no thread to give.
pub(super) fn start<T: Send + 'static>(
    name: &str,
    stack: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Running<T>> {
    let (ends, ended) = bounded(1);
    let result = Arc::new(Mutex::new(None));
    let place = result.clone();
    let work: Box<dyn FnOnce() + Send> = Box::new(move || {
        let done = work();
        if let Ok(mut place) = place.lock() {
            *place = Some(done);
        }
        drop(ends);
    });
    Builder::new().name(name.into()).stack_size(stack).spawn(work)?;
    Ok(Running { result, ended })
}

impl<T> Running<T> {
    /// What the work came to; `None` if it stopped without a result.
    pub(super) async fn result(self) -> Option<T> {
        let _ = self.ended.recv().await;
        self.result.lock().ok()?.take()
    }
}

/// Runs the future on the calling thread, to its end. The waiting itself is there once, whatever the work is and
/// brings back.
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut result = None;
    loop {
        if let Some(result) = result {
            return result;
        }
        until_ready(&mut |context| work.as_mut().poll(context).map(|done| result = Some(done)));
    }
}

fn until_ready(poll: &mut dyn FnMut(&mut Context<'_>) -> Poll<()>) {
    smol::block_on(smol::future::poll_fn(poll));
}
