//! Cameras with a picture, and who watches it: GStreamer's RTSP server and uStreamer's MJPEG over HTTP, ffprobe and
//! ffmpeg, all of them Debian's.

use super::process::{until, Daemon};
use super::{probe, seal, Ns, SECOND};
use anyhow::{ensure, Context, Result};
use nix::sys::signal::Signal;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant};

/// Where Debian has a library, seen from /usr/bin.
macro_rules! library {
    ($name:literal) => {
        if cfg!(target_arch = "aarch64") {
            concat!("../lib/aarch64-linux-gnu/", $name)
        } else {
            concat!("../lib/x86_64-linux-gnu/", $name)
        }
    };
}

/// What [`Rtsp`] needs, see [`super::tools::TOOLS`].
pub const RTSP_NEEDS: [&str; 4] = [PYTHON_GI, GST_RTSP_SERVER, GST_TEST_PICTURE, GST_RTP];
/// No programs, but found like one beside /usr/bin: Python's way to GStreamer ...
pub const PYTHON_GI: &str = "../lib/python3/dist-packages/gi/__init__.py";
/// ... its RTSP server ...
pub const GST_RTSP_SERVER: &str = library!("girepository-1.0/GstRtspServer-1.0.typelib");
/// ... a test picture ...
pub const GST_TEST_PICTURE: &str = library!("gstreamer-1.0/libgstvideotestsrc.so");
/// ... and what makes packets of it.
pub const GST_RTP: &str = library!("gstreamer-1.0/libgstrtp.so");

/// Who may look, by each camera that asks: user and password.
pub const VIEWER: (&str, &str) = ("viewer", "lens-cap-7");
/// The picture of [`Rtsp`], as [`watch`] tells of it.
pub const RTSP_PICTURE: &str = "mjpeg 320x240";
/// The picture of [`mjpeg`]: "no signal", as no lens is there.
pub const MJPEG_PICTURE: &str = "mjpeg 640x480";
/// Where both have their picture.
pub const PATH: &str = "/stream";

/// A server that takes no calls within this time has failed.
const START_LIMIT: Duration = Duration::from_secs(10);
/// ffprobe needs half a second, and another one for each picture of [`mjpeg`]; on a busy machine more.
const WATCH_LIMIT: Duration = Duration::from_secs(20);
/// ffmpeg ends when nothing came for so long.
const STALLED: Duration = Duration::from_secs(2);
/// More pictures than ffmpeg may have read before it began.
const BEFOREHAND: u64 = 20;
/// Pictures that one look takes.
const FRAMES: &str = "2";

/// GStreamer's RTSP server. Dropped, it is killed.
pub struct Rtsp(Daemon);

impl Rtsp {
    /// Starts it on every address of a host, with a password by Digest authentication or with none.
    ///
    /// # Errors
    /// When it does not start; the text holds its last words.
    pub fn start(place: &Ns, port: u16, password: bool) -> Result<Rtsp> {
        // Debian's modules are the system's Python's, whichever comes first in PATH.
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", include_str!("rtsp_server.py"), &port.to_string()]);
        if password {
            command.args([VIEWER.0, VIEWER.1]);
        }
        // GStreamer writes down which plugins there are.
        command.env("GST_REGISTRY", format!("{}/tmp/gstreamer", seal::DIR)).env("HOME", seal::DIR);
        let start = Instant::now();
        let daemon = place.spawn("GStreamer's RTSP server", &mut command)?;
        daemon.wait_line(start, "takes calls", START_LIMIT)?;
        Ok(Rtsp(daemon))
    }

    /// Whether it asks for the password from now on whoever connects; who watches goes on watching.
    ///
    /// # Errors
    /// When it is gone, or was started without a password.
    pub fn set_password(&self, asks: bool) -> Result<()> {
        let (signal, said) = match asks {
            true => (Signal::SIGUSR2, "asks for a password"),
            false => (Signal::SIGUSR1, "streams to anyone"),
        };
        let since = Instant::now();
        self.0.signal(signal)?;
        self.0.wait_line(since, said, SECOND).map(drop)
    }
}

/// Starts uStreamer, a server of MJPEG over HTTP (multipart/x-mixed-replace), on every IPv4 address of a host, with a
/// password by Basic authentication or with none.
///
/// # Errors
/// When it does not start; the text holds its last words.
pub fn mjpeg(place: &Ns, port: u16, password: bool) -> Result<Daemon> {
    let mut command = Command::new("ustreamer");
    // There is no such device, and it streams a picture that says so.
    command.args(["--device", "/run/lab/lens", "--host", "0.0.0.0", "--port", &port.to_string()]);
    if password {
        command.args(["--user", VIEWER.0, "--passwd", VIEWER.1]);
    }
    let daemon = place.spawn("uStreamer", &mut command)?;
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    until("uStreamer takes calls", START_LIMIT, || probe::connect(place, at, SECOND).ok())
        .with_context(|| format!("its last words:\n{}", daemon.tail(20)))?;
    Ok(daemon)
}

/// A stream's URL at a name, with the password or without.
pub fn url(scheme: &str, name: &str, port: u16, password: bool) -> String {
    let (user, secret) = VIEWER;
    let who = if password { format!("{user}:{secret}@") } else { String::new() };
    format!("{scheme}://{who}{name}:{port}{PATH}")
}

fn viewer(program: &str, url: &str) -> Command {
    let mut command = Command::new(program);
    // How many pictures a second there are is not worth the time to find out.
    command.args(["-v", "error", "-analyzeduration", "1000000", "-fpsprobesize", "0"]);
    if url.starts_with("rtsp:") {
        // Through a mapping of one TCP port.
        command.args(["-rtsp_transport", "tcp"]);
    }
    command
}

/// Looks at a stream with ffprobe: reads some pictures, and returns what they are, such as `mjpeg 320x240`.
///
/// # Errors
/// When there is no picture, with ffprobe's own words.
pub fn watch(from: &Ns, url: &str) -> Result<String> {
    let mut command = viewer("ffprobe", url);
    command.args(["-read_intervals", &format!("%+#{FRAMES}"), "-count_frames"]);
    command.args(["-show_entries", "stream=codec_name,width,height,nb_read_frames", "-of", "csv=p=0", url]);
    let said = from.run(&mut command, WATCH_LIMIT)?.success()?;
    match said.trim().split(',').collect::<Vec<_>>().as_slice() {
        [codec, width, height, FRAMES] => Ok(format!("{codec} {width}x{height}")),
        _ => anyhow::bail!("ffprobe says {said}"),
    }
}

/// Somebody who goes on watching, with ffmpeg. Dropped, the stream ends.
pub struct Watching(Daemon);

impl Watching {
    /// Begins, and waits for the first pictures.
    ///
    /// # Errors
    /// When there is no picture, with ffmpeg's last words.
    pub fn start(from: &Ns, url: &str) -> Result<Watching> {
        let mut command = viewer("ffmpeg", url);
        command.args(["-nostdin", "-progress", "pipe:1", "-stats_period", "0.1"]);
        command.args(["-timeout", &STALLED.as_micros().to_string()]);
        command.args(["-i", url, "-c", "copy", "-f", "null", "-"]);
        let mut watching = Watching(from.spawn("ffmpeg", &mut command)?);
        let live = |watching: &mut Watching| watching.frames() > BEFOREHAND || watching.ended();
        until("ffmpeg has pictures", WATCH_LIMIT, || live(&mut watching).then_some(()))?;
        ensure!(!watching.ended(), "ffmpeg has no picture: {}", watching.0.tail(20));
        Ok(watching)
    }

    /// Pictures that it has received so far.
    pub fn frames(&self) -> u64 {
        let lines = self.0.lines();
        let mut counts = lines.iter().rev().filter_map(|line| line.text.strip_prefix("frame="));
        counts.next().and_then(|count| count.trim().parse().ok()).unwrap_or(0)
    }

    fn ended(&mut self) -> bool {
        !self.0.is_running()
    }

    /// Waits until no picture comes any more, upon which it ends after [`STALLED`]; says since when.
    ///
    /// # Errors
    /// When it still watches after `limit`.
    pub fn wait_cut(&mut self, limit: Duration) -> Result<Instant> {
        self.0.wait(limit + STALLED)?;
        Ok(Instant::now() - STALLED)
    }
}
