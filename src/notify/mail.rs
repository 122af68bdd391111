//! An email (RFC 5322) for a `sendmail` command, which adds sender, date and id where they are missing.

use super::Message;
use crate::config::Notify;
use crate::provider::web::base64;

/// The whole mail. Recipients are in it (`sendmail -t`), so that none is in an argument.
pub fn mail(channel: &Notify, message: &Message) -> String {
    let mut out = String::new();
    for (name, value) in [("From", channel.text("from")), ("To", channel.text("to"))] {
        if let Some(value) = value {
            header(&mut out, name, value);
        }
    }
    header(&mut out, "Subject", &word(message.title()));
    // No robot answers it (RFC 3834 section 5).
    header(&mut out, "Auto-Submitted", "auto-generated");
    header(&mut out, "MIME-Version", "1.0");
    header(&mut out, "Content-Type", "text/plain; charset=utf-8");
    header(&mut out, "Content-Transfer-Encoding", "8bit");
    out.push('\n');
    out.push_str(message.text());
    out.push('\n');
    out
}

fn header(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push_str(": ");
    out.extend(value.chars().filter(|c| !c.is_control()));
    out.push('\n');
}

/// The most bytes of an encoded word's text: it may have 75 characters in all, and three bytes are four of them.
const WORD_CAP: usize = 42;

/// A title as a header carries it: in encoded words, cut between characters (RFC 2047 sections 2 and 5), if need be.
fn word(text: &str) -> String {
    if text.is_ascii() {
        return text.to_string();
    }
    let mut words: Vec<String> = vec![String::new()];
    for c in text.chars() {
        match words.last_mut() {
            Some(word) if word.len() + c.len_utf8() <= WORD_CAP => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let coded = words.iter().map(|word| ["=?utf-8?B?", &base64(word.as_bytes()), "?="].concat());
    coded.collect::<Vec<_>>().join(" ")
}
