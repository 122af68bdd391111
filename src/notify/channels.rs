//! The table of services that carry a message: what each needs, how it is asked, how it says yes and no.

use crate::provider::Kind;
use crate::sign;

/// A value of `option kind`.
pub struct Channel {
    /// Its word in the configuration.
    pub kind: &'static str,
    /// As people call it.
    pub title: &'static str,
    /// The vendor's page, which the row follows.
    pub page: &'static str,
    /// Options that it cannot work without.
    pub needs: &'static [&'static str],
    /// Options that it takes besides.
    pub takes: &'static [&'static str],
    /// How it is reached.
    pub way: Way,
}

/// How a message leaves.
pub enum Way {
    /// By one HTTP request.
    Post(Service),
    /// By a `sendmail` command.
    Mail,
    /// By a program of the owner's.
    Script,
}

/// A service that takes a message by one POST. Placeholders are those of [`super::FIELDS`], `{token}` and `{chat_id}`
/// (the options), `{lines}` (the text as Markdown keeps its lines), `{slack}` (title and text as Slack wants them),
/// and, of what is signed, `{time}` and `{sign}`. Each value is encoded for where it stands.
pub struct Service {
    /// Where it is, if `option url` does not say so.
    pub base: &'static str,
    /// What follows that in the address.
    pub path: &'static str,
    /// A header that goes along.
    pub header: &'static str,
    /// Another one, where there is a token.
    pub bearer: &'static str,
    /// The body: JSON if it begins with a brace.
    pub body: &'static str,
    /// How `option secret` signs.
    pub sign: Option<Sign>,
    /// What an accepted message is answered: `path=value` in the JSON (any of them), `=text` for a whole text; none:
    /// any status of success will do.
    pub yes: &'static [&'static str],
    /// Where in the JSON of a refusal its words are.
    pub words: &'static str,
    /// Codes of refusals (at the path of the first `yes`) that are no plain refusal.
    pub codes: &'static [(&'static str, Kind)],
}

/// A signature, and where it goes.
pub struct Sign {
    /// Of a secret and Unix time in seconds: the time as it is written, and the signature.
    pub make: fn(&str, u64) -> (String, String),
    /// What it adds to the address.
    pub path: &'static str,
    /// What it adds to the body, after the brace.
    pub body: &'static str,
}

/// The channel of this kind.
pub fn find(kind: &str) -> Option<&'static Channel> {
    CHANNELS.iter().find(|channel| channel.kind == kind)
}

const PLAIN: Service = Service {
    base: "",
    path: "",
    header: "",
    bearer: "",
    body: "",
    sign: None,
    yes: &[],
    words: "message",
    codes: &[],
};

/// Every channel.
pub static CHANNELS: &[Channel] = &[
    Channel {
        kind: "webhook",
        title: "Any web address: the request that you write",
        page: "https://github.com/porchlight-agent/porchlight#notifications",
        needs: &["url"],
        takes: &["method", "header", "body", "token"],
        way: Way::Post(Service {
            body: r#"{"event":"{event}","title":"{title}","text":"{text}","record":"{record}","camera":"{camera}","address":"{address}"}"#,
            ..PLAIN
        }),
    },
    Channel {
        kind: "ntfy",
        title: "ntfy",
        page: "https://docs.ntfy.sh/publish/",
        needs: &["url"],
        takes: &["token"],
        way: Way::Post(Service {
            path: "?title={title}",
            header: "Content-Type: text/plain; charset=utf-8",
            bearer: "Authorization: Bearer {token}",
            body: "{text}",
            yes: &["event=message"],
            words: "error",
            ..PLAIN
        }),
    },
    Channel {
        kind: "telegram",
        title: "Telegram",
        page: "https://core.telegram.org/bots/api#sendmessage",
        needs: &["token", "chat_id"],
        takes: &["url"],
        way: Way::Post(Service {
            base: "https://api.telegram.org",
            path: "/bot{token}/sendMessage",
            body: r#"{"chat_id":"{chat_id}","text":"{title}\n{text}"}"#,
            yes: &["ok=true"],
            words: "description",
            ..PLAIN
        }),
    },
    Channel {
        kind: "bark",
        title: "Bark",
        page: "https://github.com/Finb/bark-server/blob/master/docs/API_V2.md",
        needs: &["token"],
        takes: &["url"],
        way: Way::Post(Service {
            base: "https://api.day.app",
            path: "/push",
            body: r#"{"device_key":"{token}","title":"{title}","body":"{text}","group":"Porchlight"}"#,
            yes: &["code=200"],
            ..PLAIN
        }),
    },
    Channel {
        kind: "dingtalk",
        title: "DingTalk (钉钉), a group's custom robot",
        page: "https://open.dingtalk.com/document/robots/custom-robot-access",
        needs: &["url"],
        takes: &["secret"],
        way: Way::Post(Service {
            body: r#"{"msgtype":"text","text":{"content":"{title}\n{text}"}}"#,
            sign: Some(Sign { make: sign::dingtalk, path: "&timestamp={time}&sign={sign}", body: "" }),
            yes: &["errcode=0"],
            words: "errmsg",
            codes: &[
                ("-1", Kind::Busy),
                ("130101", Kind::Busy),
                ("410100", Kind::Busy),
                ("310000", Kind::Credentials),
                ("300001", Kind::Credentials),
                ("400101", Kind::Credentials),
            ],
            ..PLAIN
        }),
    },
    Channel {
        kind: "feishu",
        title: "Feishu (飞书) and Lark, a group's custom bot",
        page: "https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot",
        needs: &["url"],
        takes: &["secret"],
        way: Way::Post(Service {
            body: r#"{"msg_type":"text","content":{"text":"{title}\n{text}"}}"#,
            sign: Some(Sign {
                make: sign::feishu,
                path: "",
                body: r#""timestamp":"{time}","sign":"{sign}","#,
            }),
            yes: &["code=0", "StatusCode=0"],
            words: "msg",
            codes: &[
                ("11232", Kind::Busy),
                ("19001", Kind::Credentials),
                ("19021", Kind::Credentials),
                ("19022", Kind::Credentials),
                ("19024", Kind::Credentials),
            ],
            ..PLAIN
        }),
    },
    Channel {
        kind: "serverchan",
        title: "ServerChan (Server酱), Turbo and ³",
        page: "https://doc.sc3.ft07.com/serverchan3/server/api",
        needs: &["token"],
        takes: &["url"],
        way: Way::Post(Service {
            base: "https://sctapi.ftqq.com",
            path: "/{token}.send",
            body: "title={title}&desp={lines}",
            yes: &["code=0"],
            ..PLAIN
        }),
    },
    Channel {
        kind: "discord",
        title: "Discord",
        page: "https://discord.com/developers/docs/resources/webhook#execute-webhook",
        needs: &["url"],
        takes: &[],
        way: Way::Post(Service {
            body: r#"{"content":"**{title}**\n{text}","allowed_mentions":{"parse":[]}}"#,
            ..PLAIN
        }),
    },
    Channel {
        kind: "slack",
        title: "Slack",
        page: "https://api.slack.com/messaging/webhooks",
        needs: &["url"],
        takes: &[],
        way: Way::Post(Service { body: r#"{"text":"{slack}"}"#, yes: &["=ok"], ..PLAIN }),
    },
    Channel {
        kind: "email",
        title: "Email, by a `sendmail` command (msmtp, BusyBox, Postfix)",
        page: "https://marlam.de/msmtp/",
        needs: &["to"],
        takes: &["from", "program"],
        way: Way::Mail,
    },
    Channel {
        kind: "script",
        title: "A program of yours",
        page: "https://github.com/porchlight-agent/porchlight#notifications",
        needs: &["program"],
        takes: &[],
        way: Way::Script,
    },
];
