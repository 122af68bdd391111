//! The first three bytes of the hardware addresses of those who make cameras, from the registry of the IEEE (MA-L,
//! <https://standards-oui.ieee.org/oui/oui.txt>) as Debian's package `ieee-data` 20220827.1 holds it: the prefixes of
//! all organisations of the name that the comment says.

use super::vendor::{self, Vendor};
use crate::model::Mac;

/// The bit of a hardware address that its owner made up (IEEE 802-2014 section 8.2.2): no maker's.
const LOCAL: u8 = 2;

/// The maker of a device's network part, by its hardware address.
pub fn vendor(mac: Mac) -> Option<&'static Vendor> {
    let [a, b, c, ..] = mac.0;
    let prefix = u32::from_be_bytes([0, a, b, c]);
    let ours = |row: &&(&Vendor, &[u32])| a & LOCAL == 0 && row.1.contains(&prefix);
    PREFIXES.iter().find(ours).map(|row| row.0)
}

/// By maker, in the order of the table of makers.
#[rustfmt::skip]
static PREFIXES: &[(&Vendor, &[u32])] = &[
    // Hangzhou Hikvision Digital Technology, Prama Hikvision India Private Limited
    (&vendor::HIKVISION, &[
        0x040312, 0x085411, 0x08a189, 0x1012fb, 0x1868cb, 0x240f9b, 0x2428fd, 0x2432ae, 0x24b105, 0x2857be, 0x2ca59c,
        0x3c1bf8, 0x40acbf, 0x4419b6, 0x4447cc, 0x44a642, 0x4cbd8f, 0x4cf5dc, 0x54c415, 0x5803fb, 0x5850ed, 0x64db8b,
        0x686dbc, 0x80beaf, 0x849a40, 0x8ce748, 0x94e1ac, 0x988b0a, 0x989de5, 0x98df82, 0x98f112, 0xa0ff0c, 0xa41437,
        0xacb92f, 0xaccb51, 0xb4a382, 0xbc5e33, 0xbc9b5e, 0xbcad28, 0xbcbac2, 0xc0517e, 0xc056e3, 0xc06ded, 0xc42f90,
        0xd4e853, 0xe0baad, 0xe0ca3c, 0xe8a0ed, 0xecc89c, 0xf84dfc, 0xfc9ffd,
    ]),
    // Amcrest Technologies, Lorex Technology, Zhejiang Dahua Technology
    (&vendor::DAHUA, &[
        0x001f54, 0x08eded, 0x14a78b, 0x24526a, 0x38af29, 0x3ce36b, 0x3cef8c, 0x4c11bf, 0x5cf51a, 0x6c1c71, 0x74c929,
        0x8ce9b4, 0x9002a9, 0x9c1463, 0x9c8ecd, 0xa0bd1d, 0xb44c3b, 0xbc325f, 0xc0395a, 0xc4aac4, 0xd4430e, 0xe0508b,
        0xe4246c, 0xf4b1c2, 0xfc5f49, 0xfcb69d,
    ]),
    // AXIS COMMUNICATIONS, Axis Communications
    (&vendor::AXIS, &[
        0x00408c, 0xaccc8e, 0xb8a44f,
    ]),
    // Reolink Innovation Limited
    (&vendor::REOLINK, &[
        0xec71db,
    ]),
    // Zhejiang Uniview Technologies
    (&vendor::UNIVIEW, &[
        0x48ea63, 0x6cf17e, 0xc47905,
    ]),
    // Hanwha Techwin Security Vietnam, SAMSUNG TECHWIN
    (&vendor::HANWHA, &[
        0x000918, 0xe43022,
    ]),
    // Vivotek
    (&vendor::VIVOTEK, &[
        0x0002d1,
    ]),
    // Bosch Security Systems
    (&vendor::BOSCH, &[
        0x000131, 0x000463, 0x001c44,
    ]),
    // Mobotix AG
    (&vendor::MOBOTIX, &[
        0x0003c5,
    ]),
    // Hangzhou Ezviz Software
    (&vendor::EZVIZ, &[
        0x588fcf, 0x64f2fb, 0x78a6a0, 0x78c1ae, 0xec97e0,
    ]),
    // Shanghai Imil, Shanghai Xiaoyi Technology
    (&vendor::IMILAB, &[
        0x5870c6, 0x607ea4, 0x94f827,
    ]),
    // GeoVision
    (&vendor::GEOVISION, &[
        0x0013e2,
    ]),
    // ACTi Corporation
    (&vendor::ACTI, &[
        0x000f7c,
    ]),
    // i-PRO
    (&vendor::IPRO, &[
        0xd42dc5,
    ]),
    // Jinan Jovision Science & Technology, Jovision Technology
    (&vendor::JOVISION, &[
        0xac9572, 0xe06290,
    ]),
    // Tiandy Technologies
    (&vendor::TIANDY, &[
        0x3cda6d,
    ]),
    // Herospeed Digital Technology Limited
    (&vendor::HEROSPEED, &[
        0x2c6f51,
    ]),
    // MileSight Technology
    (&vendor::MILESIGHT, &[
        0x1cc316,
    ]),
    // Wyze Labs
    (&vendor::WYZE, &[
        0x2caa8e, 0x7c78b2, 0xd03f27,
    ]),
    // Zmodo Technology Corporation
    (&vendor::ZMODO, &[
        0x045c06,
    ]),
    // Swann communications Pty
    (&vendor::SWANN, &[
        0xbc51fe,
    ]),
    // Arecont Vision
    (&vendor::ARECONT, &[
        0x001a07,
    ]),
    // Shenzhen Reecam Tech
    (&vendor::REECAM, &[
        0xe8abfa,
    ]),
    // Sunell Electronics
    (&vendor::SUNELL, &[
        0x001c27,
    ]),
    // CP PLUS GMBH &
    (&vendor::CPPLUS, &[
        0x140708,
    ]),
    // TP-LINK TECHNOLOGIES, TP-Link Corporation Limited
    (&vendor::TPLINK, &[
        0x000aeb, 0x001478, 0x0019e0, 0x001d0f, 0x002127, 0x0023cd, 0x002586, 0x002719, 0x003192, 0x005f67, 0x081f71,
        0x085700, 0x0c4b54, 0x0c722c, 0x0c8063, 0x0c8268, 0x1027f5, 0x10feed, 0x147590, 0x148692, 0x14cc20, 0x14cf92,
        0x14e6e4, 0x14ebb6, 0x18a6f7, 0x18d6c7, 0x18f22c, 0x1c3bf3, 0x1c4419, 0x1c61b4, 0x1cfa68, 0x203626, 0x206be7,
        0x20dce6, 0x246968, 0x282cb2, 0x2887ba, 0x28ee52, 0x30b49e, 0x30b5c2, 0x30de4b, 0x30fc68, 0x3460f9, 0x349672,
        0x34e894, 0x34f716, 0x388345, 0x3c06a7, 0x3c46d8, 0x3c846a, 0x40169f, 0x403f8c, 0x44b32d, 0x480eec, 0x487d2e,
        0x503eaa, 0x50bd5f, 0x50c7bf, 0x50d4f7, 0x50fa84, 0x547595, 0x54a703, 0x54af97, 0x54c80f, 0x54e6fc, 0x584120,
        0x5c63bf, 0x5c899a, 0x5ca6e6, 0x6032b1, 0x603a7c, 0x60a4b7, 0x60e327, 0x645601, 0x6466b3, 0x646e97, 0x647002,
        0x687724, 0x687ff0, 0x68ff7b, 0x6c5ab0, 0x6cb158, 0x6ce873, 0x704f57, 0x7405a5, 0x74da88, 0x74ea3a, 0x7844fd,
        0x78a106, 0x7c8bca, 0x7cb59b, 0x7cc2c6, 0x808917, 0x808f1d, 0x80ea07, 0x8416f9, 0x84d81b, 0x882593, 0x8c210a,
        0x8ca6df, 0x909a4a, 0x90ae1b, 0x90f652, 0x940c6d, 0x94d9b3, 0x984827, 0x9897cc, 0x98dac4, 0x98ded0, 0x9c216a,
        0x9ca2f4, 0x9ca615, 0xa0f3c1, 0xa41a3a, 0xa42bb0, 0xa8154d, 0xa8574e, 0xac15a2, 0xac84c6, 0xb0487a, 0xb04e26,
        0xb09575, 0xb0958e, 0xb0a7b9, 0xb0be76, 0xb4b024, 0xb8f883, 0xbc4699, 0xbcd177, 0xc006c3, 0xc025e9, 0xc04a00,
        0xc06118, 0xc0c9e3, 0xc0e42d, 0xc46e1f, 0xc47154, 0xc4e984, 0xcc08fb, 0xcc32e5, 0xcc3429, 0xcc68b6, 0xd03745,
        0xd076e7, 0xd0c7c0, 0xd4016d, 0xd46e0e, 0xd807b6, 0xd80d17, 0xd8150d, 0xd84732, 0xd85d4c, 0xdc0077, 0xdcfe18,
        0xe005c5, 0xe4c32a, 0xe4d332, 0xe848b8, 0xe894f6, 0xe8de27, 0xec086b, 0xec172f, 0xec26ca, 0xec6073, 0xec888f,
        0xf0f336, 0xf42a7d, 0xf46d2f, 0xf483cd, 0xf4848d, 0xf4ec38, 0xf4f26d, 0xf81a67, 0xf88c21, 0xf8d111, 0xfcd733,
    ]),
    // Tuya Smart
    (&vendor::TUYA, &[
        0x105a17, 0x10d561, 0x1869d8, 0x1c90ff, 0x381f8d, 0x508a06, 0x68572d, 0x708976, 0x7cf666, 0x84e342, 0xa09208,
        0xcc8cbf, 0xd4a651, 0xd81f12, 0xfc671f,
    ]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn name(mac: &str) -> Option<&'static str> {
        vendor(Mac::parse(mac).unwrap()).map(|vendor| vendor.name)
    }

    #[test]
    fn makers_by_hardware_address() {
        assert_eq!(name("c0:56:e3:01:02:03"), Some("Hikvision"));
        assert_eq!(name("00:40:8c:00:00:00"), Some("Axis"));
        assert_eq!(name("00:11:32:00:00:00"), None, "Synology");
        assert_eq!(name("02:40:8c:00:00:00"), None, "made up by its owner");
    }

    #[test]
    fn a_prefix_has_one_maker() {
        let mut all: Vec<u32> = PREFIXES.iter().flat_map(|row| row.1.iter().copied()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|prefix| *prefix < 1 << 24 && (prefix >> 16) as u8 & LOCAL == 0));
    }
}
