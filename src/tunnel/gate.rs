//! Where the streams of one line pass: each is connected to the camera's present address and port, as the plan says, and
//! to nothing else. When that changes, or the line ends, they end.

use super::relay::{relay, tcp, Stream};
use crate::act::net::within;
use crate::plan::tunnel::{Line, News, Report};
use crate::provider::Failure;
use rustix::net::sockopt;
use smol::future::{try_zip, BoxedLocal};
use smol::{Async, LocalExecutor, Task};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The most streams of a line at a time: each holds two sockets and 16 KiB.
const STREAMS_CAP: usize = 32;
/// The same of all lines together: whoever fills them all must leave descriptors to what closes them.
const ALL_STREAMS_CAP: usize = 128;
/// How long a stream may take to be made, on either side.
const MAKE_LIMIT: Duration = Duration::from_secs(10);
/// A peer that is silent is asked whether it is there after so long ...
const ALIVE_AFTER: Duration = Duration::from_secs(30);
/// ... and then so often, at these intervals: what is gone is known after a minute.
const ALIVE_TRIES: u32 = 3;
const ALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// What is not acknowledged for so long was sent to nobody.
const UNHEARD: Duration = Duration::from_secs(120);

/// Takes what becomes of a line.
pub(crate) type Tell = Rc<dyn Fn(Report)>;
/// A stream that is being made.
pub(crate) type Made = BoxedLocal<io::Result<Stream>>;

/// How many streams there are, of all lines.
#[derive(Clone, Default)]
pub(super) struct Places(Rc<Cell<usize>>);

/// That of one stream.
struct Place(Places);

impl Places {
    fn take(&self) -> Option<Place> {
        let Places(count) = self;
        if count.get() >= ALL_STREAMS_CAP {
            return None;
        }
        count.set(count.get() + 1);
        Some(Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Place(Places(count)) = self;
        count.set(count.get().saturating_sub(1));
    }
}

/// The way of one line.
#[derive(Clone)]
pub(crate) struct Gate(Rc<Inside>);

struct Inside {
    tunnel: String,
    line: Line,
    /// Where it leads now; `None`: nowhere any more.
    target: Cell<Option<SocketAddr>>,
    streams: RefCell<Vec<Task<()>>>,
    places: Places,
    tell: Tell,
    executor: Rc<LocalExecutor<'static>>,
}

impl Gate {
    pub(super) fn new(
        tunnel: &str,
        line: &Line,
        places: Places,
        tell: Tell,
        executor: Rc<LocalExecutor<'static>>,
    ) -> Gate {
        let (tunnel, line) = (tunnel.into(), line.clone());
        let (target, streams) = (Cell::new(Some(line.target)), RefCell::default());
        Gate(Rc::new(Inside { tunnel, line, target, streams, places, tell, executor }))
    }

    /// The mapping section's name.
    pub(super) fn mapping(&self) -> &str {
        &self.0.line.mapping
    }

    /// Which attempt it is.
    pub(super) fn attempt(&self) -> u64 {
        self.0.line.attempt
    }

    /// The port that is asked of the server; 0: any.
    pub(crate) fn remote(&self) -> u16 {
        self.0.line.remote
    }

    /// The camera is here now: what ran to another place ends.
    pub(super) fn lead_to(&self, target: SocketAddr) {
        if self.0.target.replace(Some(target)) != Some(target) {
            self.0.streams.take();
        }
    }

    /// Lets nothing in any more, and ends what ran.
    pub(super) fn shut(&self) {
        self.0.target.set(None);
        self.0.streams.take();
    }

    /// The server lets in by this port.
    pub(crate) fn up(&self, port: u16) {
        self.told(News::Up(port));
    }

    /// It stands no more: what ran ends.
    pub(crate) fn down(&self, failure: Failure) {
        self.shut();
        self.told(News::Down(failure));
    }

    /// Work that goes on beside; dropped, it ends.
    pub(super) fn spawn(&self, work: BoxedLocal<()>) -> Task<()> {
        self.0.executor.spawn(work)
    }

    fn told(&self, news: News) {
        let Inside { tunnel, line, .. } = &*self.0;
        let (tunnel, mapping) = (tunnel.clone(), line.mapping.clone());
        (self.0.tell)(Report { tunnel, mapping, attempt: line.attempt, news });
    }

    /// A visitor came: connects the stream, once it is made, to the camera. More than [`STREAMS_CAP`], or than
    /// [`ALL_STREAMS_CAP`] with those of other lines, are let go.
    pub(crate) fn admit(&self, stream: Made) {
        let Some(target) = self.0.target.get() else { return };
        let mut streams = self.0.streams.borrow_mut();
        streams.retain(|task| !task.is_finished());
        let name = self.0.line.mapping.clone();
        let place = self.0.places.take().filter(|_| streams.len() < STREAMS_CAP);
        let Some(place) = place else {
            return log::debug!("mapping {name}: too many come by tunnels; one was turned away");
        };
        let work: BoxedLocal<()> = Box::pin(async move {
            let _place = place;
            if let Err(error) = pass(stream, target).await {
                log::debug!("mapping {name}: a connection by a tunnel ended: {error}");
            }
        });
        streams.push(self.0.executor.spawn(work));
    }
}

/// Connects a visitor to the camera.
async fn pass(stream: Made, target: SocketAddr) -> io::Result<()> {
    let until = Instant::now() + MAKE_LIMIT;
    let both = try_zip(stream, Async::<TcpStream>::connect(target));
    let (visitor, camera) = within(until, both).await.ok_or(io::ErrorKind::TimedOut)??;
    keep_alive(&camera);
    relay(visitor, tcp(camera)).await
}

/// Has the kernel notice when the peer is gone without a word, and send what there is at once.
pub(crate) fn keep_alive(stream: &Async<TcpStream>) {
    let _ = stream.get_ref().set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, ALIVE_AFTER);
    let _ = sockopt::set_tcp_keepintvl(stream, ALIVE_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(stream, ALIVE_TRIES);
    let _ = sockopt::set_tcp_user_timeout(stream, UNHEARD.as_secs() as u32 * 1000);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Visitors by the thousand, by many lines at a time.
    #[test]
    fn there_is_an_end_to_streams_of_one_line_and_of_all() {
        let executor = Rc::new(LocalExecutor::new());
        let (places, tell): (Places, Tell) = (Places::default(), Rc::new(|_| ()));
        let line = |at: usize| Line {
            mapping: format!("m{at}"),
            attempt: 1,
            target: "192.168.1.2:8554".parse().unwrap(),
            remote: 0,
        };
        let gate = |at| Gate::new("t", &line(at), places.clone(), tell.clone(), executor.clone());
        let mut gates: Vec<Gate> = (0..6).map(gate).collect();
        let counts =
            |gates: &[Gate]| gates.iter().map(|gate| gate.0.streams.borrow().len()).collect::<Vec<_>>();
        for gate in &gates {
            (0..1000).for_each(|_| gate.admit(Box::pin(smol::future::pending())));
        }
        assert_eq!((counts(&gates), places.0.get()), (vec![32, 32, 32, 32, 0, 0], ALL_STREAMS_CAP));
        // A line that ends makes room for others.
        gates.remove(0).shut();
        smol::block_on(executor.run(async {
            while places.0.get() > ALL_STREAMS_CAP - STREAMS_CAP {
                smol::future::yield_now().await;
            }
        }));
        gates.iter().for_each(|gate| gate.admit(Box::pin(smol::future::pending())));
        assert_eq!(counts(&gates), [32, 32, 32, 1, 1]);
    }
}
