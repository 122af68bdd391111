//! What the group robots of DingTalk and Feishu prove a message by: an HMAC-SHA256 over the time. Both documents call the
//! secret a secret; Feishu uses it, with the time, as the key of an empty message.
//! <https://open.dingtalk.com/document/robots/customize-robot-security-settings>
//! <https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot>

use super::canonical::mac;
use crate::provider::web::base64;

/// DingTalk: the time in milliseconds, and the signature in base64; `now` is Unix time in seconds.
pub fn dingtalk(secret: &str, now: u64) -> (String, String) {
    let time = [&now.to_string(), "000"].concat();
    let signature = mac(secret.as_bytes(), &[&time, "\n", secret].concat());
    (time, base64(&signature))
}

/// Feishu: the time in seconds, and the signature in base64; `now` is Unix time in seconds.
pub fn feishu(secret: &str, now: u64) -> (String, String) {
    let time = now.to_string();
    let signature = mac([&time, "\n", secret].concat().as_bytes(), "");
    (time, base64(&signature))
}
