//! RTSP's questions of whoever has not logged in (RFC 2326 sections 10.1 and 10.2; RFC 7826 keeps them). Its replies
//! have HTTP's form, see [`super::http`].
//!
//! Headers come in the order in which VLC sends them, which every camera has been tried with: some answer another one
//! with the number of another question. So that number is not looked at; there is but one question at a time.

use super::http::{coded, USER_AGENT};
use std::net::SocketAddr;

/// What can be asked for at `path`; the first question of a connection.
pub fn options(target: SocketAddr, path: &str) -> String {
    request("OPTIONS", target, path, 1, "")
}

/// What the stream at `path` is like; the second question.
pub fn describe(target: SocketAddr, path: &str) -> String {
    request("DESCRIBE", target, path, 2, "Accept: application/sdp\r\n")
}

fn request(method: &str, target: SocketAddr, path: &str, number: u8, more: &str) -> String {
    let path = coded(path);
    format!(
        "{method} rtsp://{target}{path} RTSP/1.0\r\nCSeq: {number}\r\nUser-Agent: {USER_AGENT}\r\n{more}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_as_they_go_out() {
        let version = env!("CARGO_PKG_VERSION");
        let target = "192.168.1.20:554".parse().unwrap();
        assert_eq!(
            options(target, "/"),
            format!("OPTIONS rtsp://192.168.1.20:554/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: porchlight/{version}\r\n\r\n")
        );
        assert_eq!(
            describe("[fd00::20]:8554".parse().unwrap(), "/live?ch=1&sub=0"),
            format!(
                "DESCRIBE rtsp://[fd00::20]:8554/live?ch=1&sub=0 RTSP/1.0\r\nCSeq: 2\r\n\
                 User-Agent: porchlight/{version}\r\nAccept: application/sdp\r\n\r\n"
            )
        );
    }

    #[test]
    fn a_path_adds_no_line() {
        let asked = describe("192.168.1.20:554".parse().unwrap(), "/a b\r\nX: y\u{e9}");
        assert!(asked.starts_with("DESCRIBE rtsp://192.168.1.20:554/a%20b%0D%0AX:%20y%C3%A9 RTSP/1.0\r\n"));
    }
}
