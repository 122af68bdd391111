//! The messages of bore <https://github.com/ekzhang/bore>: JSON, each with a zero byte behind it.

use super::json::Json;

/// The longest message, in bytes (bore's own MAX_FRAME_LENGTH).
pub const FRAME_CAP: usize = 256;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It wants to be shown that the secret is known.
    Challenge([u8; 16]),
    /// It lets in by this port.
    Hello(u16),
    /// It is there.
    Heartbeat,
    /// A visitor came, who is called so (a UUID).
    Connection(String),
    /// It refuses.
    Error(String),
}

/// Reads a message, without its zero byte. `None` if it is none.
pub fn read(frame: &[u8]) -> Option<Said> {
    let json = Json::parse(std::str::from_utf8(frame).ok()?).ok()?;
    if json.str() == Some("Heartbeat") {
        return Some(Said::Heartbeat);
    }
    let [(name, value)] = json.entries() else { return None };
    Some(match &**name {
        "Challenge" => Said::Challenge(uuid(value.str()?)?),
        "Hello" => Said::Hello(u16::try_from(value.num()?).ok()?),
        "Connection" => {
            let id = value.str()?;
            uuid(id)?;
            Said::Connection(id.to_string())
        }
        "Error" => Said::Error(value.str()?.to_string()),
        _ => return None,
    })
}

/// Asks for a port; 0: any.
pub fn hello(port: u16) -> Vec<u8> {
    message("Hello", &port.to_string())
}

/// Answers a challenge, in hexadecimal digits.
pub fn authenticate(answer: &str) -> Vec<u8> {
    message("Authenticate", &format!("\"{answer}\""))
}

/// Takes a visitor on this connection.
pub fn accept(id: &str) -> Vec<u8> {
    message("Accept", &format!("\"{id}\""))
}

fn message(name: &str, value: &str) -> Vec<u8> {
    format!("{{\"{name}\":{value}}}\0").into_bytes()
}

/// The bytes of a UUID as it is written (RFC 9562 section 4), with or without dashes.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, two) in bytes.iter_mut().zip(digits.chunks(2)) {
        let digit = |at: usize| char::from(*two.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As bore's server 0.6 sends them (serde's externally tagged enums).
    const ID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

    #[test]
    fn what_a_server_says() {
        let read = |text: &str| read(text.as_bytes());
        assert_eq!(read("\"Heartbeat\""), Some(Said::Heartbeat));
        assert_eq!(read("{\"Hello\":8554}"), Some(Said::Hello(8554)));
        assert_eq!(read(&format!("{{\"Connection\":\"{ID}\"}}")), Some(Said::Connection(ID.into())));
        let bytes = 0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8_u128.to_be_bytes();
        assert_eq!(read(&format!("{{\"Challenge\":\"{ID}\"}}")), Some(Said::Challenge(bytes)));
        assert_eq!(
            read("{\"Error\":\"port already in use\"}"),
            Some(Said::Error("port already in use".into()))
        );
    }

    #[test]
    fn what_is_none_of_it_is_not_taken() {
        let whole = format!("{{\"Connection\":\"{ID}\"}}");
        for length in 0..whole.len() {
            assert_eq!(read(&whole.as_bytes()[..length]), None, "{length}");
        }
        for text in [
            "",
            "{}",
            "null",
            "\"heartbeat\"",
            "{\"Hello\":65536}",
            "{\"Hello\":-1}",
            "{\"Hello\":\"8554\"}",
            "{\"Challenge\":\"67e55044-10b1-426f-9247-bb680e5fe0c\"}",
            "{\"Connection\":\"\\\"},{\\\"Hello\\\":22,\\\"x\\\":\\\"0123456789ab\"}",
            "{\"Hello\":1,\"Error\":\"x\"}",
            "{\"Shutdown\":null}",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(b"\xff\xfe"), None);
    }

    #[test]
    fn what_we_say() {
        assert_eq!(hello(0), b"{\"Hello\":0}\0");
        assert_eq!(accept(ID), format!("{{\"Accept\":\"{ID}\"}}\0").as_bytes());
        assert_eq!(authenticate("00ff"), b"{\"Authenticate\":\"00ff\"}\0");
    }
}
