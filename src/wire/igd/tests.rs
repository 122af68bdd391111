//! Answers of real routers, and what must hold for any text.

use super::*;
use proptest::prelude::*;

/// From miniupnpd 2.3.1 (nftables).
const FOUND: &str = include_str!("found");
const DESCRIPTION: &str = include_str!("description");
const ADDRESS: &str = include_str!("address");
const NO_ADDRESS: &str = include_str!("no-address");
const CONFLICT: &str = include_str!("conflict");
const ENTRY: &str = include_str!("entry");

fn at(text: &str, path: &str) -> Place {
    Place { host: text.parse().unwrap(), path: path.into() }
}

#[test]
fn the_captured_search_leads_to_the_description() {
    assert_eq!(location(FOUND.as_bytes()), Some(at("192.168.0.1:5000", "/rootDesc.xml")));
    for length in 0..FOUND.len() {
        assert_eq!(location(&FOUND.as_bytes()[..length]), None, "{length}");
    }
}

#[test]
fn only_an_address_is_a_location() {
    for (url, found) in [
        ("http://192.168.0.1:5000/rootDesc.xml", Some(at("192.168.0.1:5000", "/rootDesc.xml"))),
        ("HTTP://192.168.0.1", Some(at("192.168.0.1:80", "/"))),
        ("http://192.168.0.1/a?b=c", Some(at("192.168.0.1:80", "/a?b=c"))),
        ("https://192.168.0.1/", None),
        ("http://router.lan/", None),
        ("http://[::1]/", None),
        ("http://192.168.0.1:99999/", None),
        ("http://192.168.0.1/a b", None),
        ("http://192.168.0.1/\r\nX: y", None),
        ("http://user@192.168.0.1/", None),
        ("é", None),
        ("", None),
    ] {
        assert_eq!(place(url), found, "{url}");
    }
    assert_eq!(place(&format!("http://192.168.0.1/{}", "a".repeat(600))), None);
}

#[test]
fn the_captured_description_names_the_connection() {
    let (code, text) = body(DESCRIPTION.as_bytes(), false).unwrap();
    assert_eq!(code, 200);
    let from = at("192.168.0.1:5000", "/rootDesc.xml");
    let [service] = services(&text, &from).try_into().unwrap();
    assert_eq!(service.kind, "urn:schemas-upnp-org:service:WANIPConnection:2");
    assert_eq!(service.control, at("192.168.0.1:5000", "/ctl/IPConn"));
    for length in 0..DESCRIPTION.len() {
        assert!(body(&DESCRIPTION.as_bytes()[..length], true).is_none(), "{length}");
    }
    for length in 0..text.len() {
        let _ = services(&text[..length], &from);
    }
}

#[test]
fn a_description_with_a_base_and_two_connections() {
    let service = |kind: &str, url: &str| {
        format!("<service><serviceType>urn:schemas-upnp-org:service:{kind}</serviceType><controlURL>{url}</controlURL></service>")
    };
    let text = format!(
        "<root><URLBase>http://192.168.0.1:49000</URLBase><device><serviceList>{}{}{}{}</serviceList></device></root>",
        service("WANPPPConnection:1", "ppp"),
        service("WANIPConnection:1", "/igd/ip"),
        service("WANIPConnection:3", "/no"),
        service("WANIPConnection:1", "http://192.168.0.1:49001/other"),
    );
    let found = services(&text, &at("192.168.0.1:5000", "/"));
    let paths: Vec<_> = found.iter().map(|s| (s.control.host.port(), s.control.path.as_str())).collect();
    assert_eq!(paths, [(49000, "/igd/ip"), (49001, "/other"), (49000, "/ppp")]);
}

fn told(text: &str) -> Answer {
    let (code, text) = body(text.as_bytes(), false).unwrap();
    answer(code, &text).unwrap()
}

#[test]
fn captured_answers() {
    let Answer::Done(done) = told(ADDRESS) else { panic!() };
    assert_eq!(address(&done), Some(Ipv4Addr::new(93, 184, 216, 34)));
    let Answer::Done(done) = told(NO_ADDRESS) else { panic!() };
    assert_eq!(address(&done), None);
    let Answer::Done(done) = told(ENTRY) else { panic!() };
    assert_eq!(client(&done), Some(Ipv4Addr::new(192, 168, 0, 2)));
    assert_eq!(told(CONFLICT), Answer::Fault(718));
    assert!(is_conflict(718) && !is_conflict(606));
    for whole in [ADDRESS, NO_ADDRESS, ENTRY, CONFLICT] {
        for length in 0..whole.len() {
            assert!(body(&whole.as_bytes()[..length], true).is_none(), "{length}");
        }
    }
}

#[test]
fn questions() {
    let kind = "urn:schemas-upnp-org:service:WANIPConnection:1".to_string();
    let service = Service { kind, control: at("192.168.0.1:5000", "/ctl/IPConn") };
    let client = Ipv4Addr::new(192, 168, 0, 2);
    let entry = Entry { proto: Proto::Tcp, external: 8555, internal: 8554, client, lifetime: 3600 };
    let text = ask(&service, Action::Add(entry));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /ctl/IPConn HTTP/1.1\r\nHost: 192.168.0.1:5000\r\n"), "{head}");
    assert!(head.contains("SOAPAction: \"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping\""));
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    let tree = xml::parse(body.trim()).unwrap();
    let names: Vec<_> = tree.get("Envelope").get("Body").get("AddPortMapping").entries().iter().collect();
    let names: Vec<_> = names.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(
        names.join(" "),
        "NewRemoteHost NewExternalPort NewProtocol NewInternalPort NewInternalClient NewEnabled \
         NewPortMappingDescription NewLeaseDuration"
    );
    let delete = ask(&service, Action::Delete(Proto::Udp, 8554));
    assert!(
        delete.contains("<NewExternalPort>8554</NewExternalPort><NewProtocol>UDP</NewProtocol></u:Delete")
    );
    assert!(ask(&service, Action::Address).contains("\"></u:GetExternalIPAddress>"));
}

#[test]
fn a_chunked_body_is_put_together() {
    let reply = |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    assert_eq!(
        body(reply("3\r\n<a>\r\n4;x=y\r\n</a>\r\n0\r\n\r\n").as_bytes(), false),
        Some((200, "<a></a>".into()))
    );
    for torn in ["3\r\n<a>", "3\r\n<a>\r\n", "ffffffffffffffff\r\n<a>\r\n", "x\r\n", "5\r\n<a>\r\n0\r\n"] {
        assert_eq!(body(reply(torn).as_bytes(), true), None, "{torn}");
    }
}

proptest! {
    #[test]
    fn nothing_is_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[<>/a-z:0-9. ]{0,60}") {
        let (found, answer_of) = (location(&bytes), body(&bytes, true));
        let _ = (found, answer_of, place(&format!("http://{text}")), unchunk(&bytes));
        let _ = (answer(500, &text), services(&text, &at("192.168.0.1:80", "/")));
    }
}
