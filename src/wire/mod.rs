//! Protocols as data: one a file, bytes to meaning and back. No sockets, no clock.

pub mod bore;
pub mod ctnetlink;
pub mod dns;
pub mod echo;
pub mod frp;
pub mod http;
pub mod igd;
pub mod json;
pub mod natpmp;
pub mod netifd;
pub mod onvif;
pub mod pcp;
pub mod rtnl;
pub mod rtsp;
pub mod tz;
pub mod whoami;
pub mod xml;
pub mod yamux;
