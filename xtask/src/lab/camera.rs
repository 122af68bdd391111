//! A simulated camera: a TCP server that greets each caller with its name and then echoes.

use super::ns::Ns;
use anyhow::{Context, Result};
use std::io::{self, Write};
use std::net::{Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A connection that is silent for so long is dropped.
const IDLE: Duration = Duration::from_secs(60);

/// A running camera. Dropped, it takes no more calls.
pub struct Camera {
    listener: TcpListener,
    ended: Arc<AtomicBool>,
}

impl Camera {
    /// Listens on `port` of every address, now and later, of both families in the namespace.
    pub fn start(place: &Ns, port: u16, name: &str) -> Result<Camera> {
        let listener = place.enter(|| {
            TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).with_context(|| format!("listen on port {port}"))
        })?;
        let ended = Arc::new(AtomicBool::new(false));
        let (calls, over, greeting) = (listener.try_clone()?, ended.clone(), format!("{name}\n"));
        thread::spawn(move || {
            for call in calls.incoming().map_while(Result::ok) {
                if over.load(Ordering::Acquire) {
                    return;
                }
                let greeting = greeting.clone();
                thread::spawn(move || serve(call, &greeting));
            }
        });
        Ok(Camera { listener, ended })
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the thread that waits for calls: accept fails on a listener that was shut down.
        let _ = nix::sys::socket::shutdown(
            std::os::fd::AsRawFd::as_raw_fd(&self.listener),
            nix::sys::socket::Shutdown::Both,
        );
    }
}

fn serve(mut call: TcpStream, greeting: &str) -> io::Result<()> {
    call.set_read_timeout(Some(IDLE))?;
    call.write_all(greeting.as_bytes())?;
    let mut back = call.try_clone()?;
    io::copy(&mut call, &mut back)?;
    call.shutdown(Shutdown::Both)
}
