//! Signals as a stream: each kind writes a byte into a socket pair (signal-hook), which wakes the loop.

use async_io::Async;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;

/// The exit status when a second request to stop ends the program at once.
pub const IMPATIENT: i32 = 1;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: read the configuration anew.
    Reload,
    /// SIGTERM or SIGINT: end cleanly.
    Stop,
}

/// From now on SIGHUP does not end this process. One that comes before [`Signals::register`] asks for nothing more:
/// the configuration is not read yet.
///
/// # Errors
/// The kernel's.
pub fn survive_reload() -> io::Result<()> {
    flag::register(SIGHUP, Arc::new(AtomicBool::new(false))).map(drop)
}

/// The signals of this process.
pub struct Signals {
    reload: Async<UnixStream>,
    stop: Async<UnixStream>,
}

impl Signals {
    /// Takes over SIGHUP, SIGTERM and SIGINT. The second SIGTERM or SIGINT exits at once, with [`IMPATIENT`].
    pub fn register() -> io::Result<Signals> {
        let (reload, reload_end) = UnixStream::pair()?;
        let (stop, stop_end) = UnixStream::pair()?;
        pipe::register(SIGHUP, reload_end)?;
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The order matters: it exits only if the flag was set by an earlier one.
            flag::register_conditional_shutdown(signal, IMPATIENT, asked.clone())?;
            flag::register(signal, asked.clone())?;
            pipe::register(signal, stop_end.try_clone()?)?;
        }
        Ok(Signals { reload: Async::new(reload)?, stop: Async::new(stop)? })
    }

    /// Waits for the next one. Several of a kind that came together count as one.
    pub async fn next(&self) -> io::Result<Signal> {
        let stop = async { drained(&self.stop).await.map(|()| Signal::Stop) };
        let reload = async { drained(&self.reload).await.map(|()| Signal::Reload) };
        smol::future::or(stop, reload).await
    }
}

/// Waits for bytes, and takes all.
async fn drained(stream: &Async<UnixStream>) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match stream.get_ref().read(&mut [0; 64]) {
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
            read => return read.map(drop),
        }
    }
}
