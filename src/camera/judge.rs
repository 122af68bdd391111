//! What a reply to whoever brings no password says of the camera. Pure. Only 401 with a known way to log in proves
//! anything (RFC 9110 section 15.5.2, RFC 2326 section 11.2).

#[cfg(test)]
mod tests;

use crate::model::Protection;
use crate::secret::printable;
use crate::wire::http::Head;

/// The most characters of a camera's own words that are told on.
const WORDS_CAP: usize = 40;
/// Content types of pictures, sound and streams, in lower case: these beginnings ...
const STREAMS: [&str; 4] = ["image/", "video/", "audio/", "multipart/"];
/// ... and these as a whole: raw bytes, MPEG-4, HLS (RFC 8216 section 4), DASH, SDP, RTSP within HTTP.
const STREAM_TYPES: [&str; 8] = [
    "application/octet-stream",
    "application/mp4",
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "application/mpegurl",
    "application/dash+xml",
    "application/sdp",
    "application/x-rtsp-tunnelled",
];

/// Judges the reply to DESCRIBE: whoever is told what the stream is like may play it.
pub fn rtsp(head: &Head) -> Protection {
    match head.code {
        200..=299 => Protection::Open,
        _ => refused(head, "of the stream"),
    }
}

/// Judges the reply to GET.
pub fn http(head: &Head) -> Protection {
    match head.code {
        200..=299 => served(head),
        _ => refused(head, "of the stream or the snapshot"),
    }
}

/// Somebody without a password got something. What is it?
fn served(head: &Head) -> Protection {
    let kind = head.values("content-type").next().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if STREAM_TYPES.contains(&kind.as_str()) || STREAMS.iter().any(|stream| kind.starts_with(stream)) {
        return Protection::Open;
    }
    let what = match kind.as_str() {
        "text/html" | "application/xhtml+xml" => "it shows a web page to anyone".into(),
        "" => format!("it answers {} to anyone, without saying what that is", status(head)),
        kind => format!("it sends {} to anyone", shown(kind)),
    };
    Protection::Unproven(format!(
        "{what}, and whether a password is asked for within cannot be told: set option path to the path of the \
         stream or the snapshot"
    ))
}

/// What a refusal, or anything but a success, says.
fn refused(head: &Head, whose: &str) -> Protection {
    if let (401, Some(scheme)) = (head.code, head.scheme()) {
        return Protection::Password(scheme);
    }
    let status = status(head);
    Protection::Unproven(match head.code {
        401 => format!("it answers {status}, but offers neither Digest nor Basic to log in by"),
        404 => format!("it answers {status}: set option path to the path {whose}"),
        300..=399 => format!(
            "it answers {status}, which leads elsewhere and is not followed: set option path to the path {whose}"
        ),
        _ => format!("it answers {status}"),
    })
}

/// The code and the camera's words for it.
fn status(head: &Head) -> String {
    let reason = shown(&head.reason);
    if reason.is_empty() {
        head.code.to_string()
    } else {
        format!("{} ({reason})", head.code)
    }
}

/// Words from outside, cut short, and harmless to a terminal.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(WORDS_CAP).collect();
    let mark = if short.len() < text.len() { "..." } else { "" };
    format!("{}{mark}", printable(&short))
}
