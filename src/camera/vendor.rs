//! Who makes cameras: by which words a device tells its maker, and where the maker's cameras have their main stream
//! (the vendors' own manuals; <https://www.ispyconnect.com/cameras> collects them).

/// A maker.
#[derive(Debug, PartialEq, Eq)]
pub struct Vendor {
    /// As it is printed.
    pub name: &'static str,
    /// What names of its devices hold, in lower case.
    words: &'static [&'static str],
    /// The path of the main stream (RTSP); `/` where it is not known, or differs.
    pub path: &'static str,
    /// It makes cameras and what belongs to them, and hardly anything else. The devices of the others are mostly
    /// something else.
    pub only: bool,
}

const fn maker(name: &'static str, words: &'static [&'static str], path: &'static str) -> Vendor {
    Vendor { name, words, path, only: true }
}

const fn mixed(name: &'static str, words: &'static [&'static str], path: &'static str) -> Vendor {
    Vendor { name, words, path, only: false }
}

pub(super) static HIKVISION: Vendor =
    maker("Hikvision", &["hikvision", "ds-2cd", "ds-2de"], "/Streaming/Channels/101");
pub(super) static DAHUA: Vendor = maker(
    "Dahua",
    &["dahua", "amcrest", "lorex", "ipc-hdw", "ipc-hfw", "ipc-hdbw"],
    "/cam/realmonitor?channel=1&subtype=0",
);
pub(super) static AXIS: Vendor = maker("Axis", &["axis"], "/axis-media/media.amp");
pub(super) static REOLINK: Vendor = maker("Reolink", &["reolink", "rlc-"], "/h264Preview_01_main");
pub(super) static UNIVIEW: Vendor = maker("Uniview", &["uniview", "unv"], "/media/video1");
pub(super) static HANWHA: Vendor = maker("Hanwha", &["hanwha", "wisenet"], "/profile1/media.smp");
pub(super) static VIVOTEK: Vendor = maker("Vivotek", &["vivotek"], "/live.sdp");
pub(super) static BOSCH: Vendor = mixed("Bosch", &["bosch"], "/");
pub(super) static MOBOTIX: Vendor = maker("Mobotix", &["mobotix"], "/mobotix.h264");
pub(super) static EZVIZ: Vendor = maker("Ezviz", &["ezviz"], "/h264/ch1/main/av_stream");
pub(super) static IMILAB: Vendor = maker("Imilab", &["imilab", "xiaoyi"], "/");
pub(super) static GEOVISION: Vendor = maker("GeoVision", &["geovision"], "/");
pub(super) static ACTI: Vendor = maker("ACTi", &["acti"], "/");
pub(super) static IPRO: Vendor = maker("i-PRO", &["i-pro"], "/MediaInput/h264");
pub(super) static JOVISION: Vendor = maker("Jovision", &["jovision"], "/");
pub(super) static TIANDY: Vendor = maker("Tiandy", &["tiandy"], "/");
pub(super) static HEROSPEED: Vendor = maker("Herospeed", &["herospeed"], "/");
pub(super) static MILESIGHT: Vendor = maker("Milesight", &["milesight"], "/main");
pub(super) static WYZE: Vendor = maker("Wyze", &["wyze"], "/live");
pub(super) static ZMODO: Vendor = maker("Zmodo", &["zmodo"], "/");
pub(super) static SWANN: Vendor = maker("Swann", &["swann"], "/");
pub(super) static ARECONT: Vendor = maker("Arecont", &["arecont"], "/h264.sdp");
pub(super) static REECAM: Vendor = maker("Reecam", &["reecam"], "/");
pub(super) static SUNELL: Vendor = maker("Sunell", &["sunell"], "/");
pub(super) static CPPLUS: Vendor =
    maker("CP Plus", &["cp plus", "cpplus", "cp-unc"], "/cam/realmonitor?channel=1&subtype=0");
/// Not in the registry by that name.
static FOSCAM: Vendor = maker("Foscam", &["foscam"], "/videoMain");
pub(super) static TPLINK: Vendor = mixed("TP-Link", &["tp-link", "tp-ipc", "tapo", "vigi"], "/stream1");
pub(super) static TUYA: Vendor = mixed("Tuya", &["tuya"], "/");

/// All that can be told by a word.
static ALL: &[&Vendor] = &[
    &HIKVISION, &DAHUA, &AXIS, &REOLINK, &UNIVIEW, &HANWHA, &VIVOTEK, &BOSCH, &MOBOTIX, &EZVIZ, &IMILAB,
    &GEOVISION, &ACTI, &IPRO, &JOVISION, &TIANDY, &HEROSPEED, &MILESIGHT, &WYZE, &ZMODO, &SWANN, &ARECONT,
    &REECAM, &SUNELL, &CPPLUS, &FOSCAM, &TPLINK, &TUYA,
];

/// What else the names of cameras hold: as words of their own, perhaps with a number behind them ...
const WORDS: [&str; 4] = ["cam", "ipc", "ipcamera", "dcs"];
/// ... or anywhere.
const PARTS: [&str; 3] = ["camera", "ipcam", "webcam"];

/// The maker whose word is in a text: one that begins a word.
pub fn told(text: &str) -> Option<&'static Vendor> {
    let text = text.to_ascii_lowercase();
    let begins = |word: &str| {
        text.match_indices(word).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            !before.is_some_and(char::is_alphanumeric)
        })
    };
    ALL.iter().find(|vendor| vendor.words.iter().any(|word| begins(word))).copied()
}

/// Whether a device that is called so is perhaps a camera.
pub fn sounds(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let known = |word: &str| WORDS.contains(&word.trim_end_matches(|c: char| c.is_ascii_digit()));
    told(&name).is_some() || PARTS.iter().any(|part| name.contains(part)) || words.any(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_cameras_and_of_others() {
        for name in ["ipcam", "IPC-garden", "axis-accc8e012345", "cam2", "front-cam", "tapo_c200", "DCS-932L"]
        {
            assert!(sounds(name), "{name}");
        }
        for name in
            ["", "nas", "camel", "praxis-pc", "printer", "macbook", "scamp", "ipcop", "tv", "doorbell"]
        {
            assert!(!sounds(name), "{name}");
        }
    }

    #[test]
    fn makers_by_their_words() {
        let name = |text: &str| told(text).map(|vendor| vendor.name);
        assert_eq!(name("HIKVISION DS-2CD2143G0-I"), Some("Hikvision"));
        assert_eq!(name("TP-IPC C200"), Some("TP-Link"));
        assert_eq!(name("IPC-HDW2431T-AS-S2"), Some("Dahua"));
        assert_eq!(name("Praxis"), None);
    }

    #[test]
    fn words_can_be_found_and_paths_can_be_pasted() {
        for vendor in ALL {
            assert!(vendor.path.starts_with('/') && !vendor.path.contains('\''), "{}", vendor.name);
            assert!(vendor.words.iter().all(|word| *word == word.to_ascii_lowercase()), "{}", vendor.name);
        }
    }
}
