//! The arguments, the list for people, and the JSON that docs/cameras.md describes.

use super::*;
use crate::camera::evidence::Devices;
use crate::model::{OwnAddr, Scheme};
use crate::wire::json::Json;

fn wish(arguments: &[&str]) -> Result<(bool, Option<String>, Option<String>), String> {
    let arguments: Vec<String> = arguments.iter().map(|text| text.to_string()).collect();
    match read(&arguments) {
        Ok(wish) => Ok((wish.json, wish.write.map(str::to_string), wish.which.map(str::to_string))),
        Err(Fault::Usage(why) | Fault::Failed(why)) => Err(why),
    }
}

#[test]
fn arguments() {
    assert_eq!(wish(&[]), Ok((false, None, None)));
    assert_eq!(wish(&["--json"]), Ok((true, None, None)));
    let named = Ok((false, Some("front".into()), Some("192.168.1.20".into())));
    assert_eq!(wish(&["--write", "front", "192.168.1.20"]), named);
    let long = "x".repeat(MAX_NAME + 1);
    for wrong in [
        &["front"][..],
        &["--write"],
        &["--write", ""],
        &["--write", "a b"],
        &["--write", &long],
        &["--write", "a", "--write", "b"],
        &["--write", "a", "fd00::20"],
        &["--write", "a", "192.168.1.20", "192.168.1.21"],
        &["--write", "a", "--json"],
        &["--all"],
    ] {
        assert!(wish(wrong).is_err(), "{wrong:?}");
    }
}

fn found(cameras: Vec<Device>) -> Found {
    let lan = OwnAddr { device: "br-lan".into(), addr: [192, 168, 1, 1].into(), prefix: 24, settled: true };
    Found { lans: vec![lan], cameras, known: 7, asked: 2, left: 0 }
}

fn axis(found: Protection) -> Device {
    let addr = Ipv4Addr::new(192, 168, 1, 20);
    let mut devices = Devices::default();
    devices.neighbour(addr, Mac([0, 0x40, 0x8c, 1, 2, 3]));
    let mut device = devices.at(addr).unwrap().clone();
    let web = Protection::Unproven("it shows a web page to anyone, and who knows".into());
    device.services = vec![
        Service { port: 554, how: crate::config::Probe::Rtsp, found },
        Service { port: 80, how: crate::config::Probe::Http, found: web },
    ];
    device
}

#[test]
fn the_list() {
    let found = found(vec![axis(Protection::Password(Scheme::Digest))]);
    let config = Config::default();
    let offers = offers(&config, Vec::new(), &found);
    let port = offers[0].port;
    let expected = format!(
        "One camera in br-lan (192.168.1.0/24). Devices known there: 7, asked: 2.\n\n\
         192.168.1.20  00:40:8c:01:02:03  Axis\n  rtsp at 554 asks for a password (Digest)\n  \
         http at 80 is not known to ask for a password: it shows a web page to anyone\n  \
         for /etc/config/porchlight, or by: porchlight cameras --write axis 192.168.1.20\n\n\
         config camera 'axis'\n\tlist mac '00:40:8c:01:02:03'\n\nconfig mapping 'axis_rtsp'\n\
         \toption camera 'axis'\n\toption src_dport '{port}'\n\toption dest_port '554'\n\
         \toption probe 'rtsp'\n\toption path '/axis-media/media.amp'\n"
    );
    assert_eq!(list(&found, &offers, None), expected);
}

#[test]
fn nothing_found_and_no_configuration() {
    let text = list(&found(Vec::new()), &[], Some("cannot read it\u{1b}"));
    assert!(text.starts_with("No camera was found in br-lan"), "{text}");
    assert!(text.contains("guessed by the default route: cannot read it\\u{1b}."), "{text}");
}

/// The keys of docs/cameras.md.
#[test]
fn json_is_as_described() {
    let found = found(vec![axis(Protection::Open)]);
    let config = Config::default();
    let offers = offers(&config, Vec::new(), &found);
    let json = Json::parse(in_json(&found, &offers).trim_end()).unwrap();
    let camera = json.get("cameras").at(0);
    let docs = include_str!("../../../docs/cameras.md");
    for (key, _) in json.entries().iter().chain(camera.entries()) {
        assert!(docs.contains(&format!("| `{key}` |")), "{key} is not described");
    }
    assert_eq!(camera.get("services").at(0).get("password").bool(), Some(false));
    assert!(camera.get("services").at(1).get("password").is_null());
    assert_eq!(camera.get("found_by").at(0).str(), Some("mac"));
    assert!(camera.get("sections").str().unwrap().contains("config mapping 'axis_rtsp'"));
}

#[test]
fn which_one_is_meant() {
    let found = found(vec![axis(Protection::Open)]);
    let config = Config::default();
    let offers = offers(&config, Vec::new(), &found);
    assert!(choose(None, &offers).is_ok());
    assert!(choose(Some("00:40:8C:01:02:03"), &offers).is_ok());
    assert!(choose(Some("192.168.1.20"), &offers).is_ok());
    assert!(choose(Some("192.168.1.21"), &offers).is_err());
    assert!(choose(None, &[]).is_err());
}
