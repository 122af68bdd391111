//! Flows, generations and verdicts, and what is torn.

use super::*;

fn attr(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = ((value.len() + 4) as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(aligned(bytes.len()), 0);
    bytes
}

fn tuple(kind: u16, src: [u8; 4], dst: [u8; 4]) -> Vec<u8> {
    let ip = [attr(CTA_IP_V4_SRC, &src), attr(CTA_IP_V4_DST, &dst)].concat();
    // CTA_TUPLE_PROTO: tcp, ports 40000 and 8554.
    let proto = [attr(1, &[6]), attr(2, &[0x9c, 0x40]), attr(3, &[0x21, 0x6a])].concat();
    let body = [attr(CTA_TUPLE_IP | NLA_F_NESTED, &ip), attr(2 | NLA_F_NESTED, &proto)].concat();
    attr(kind | NLA_F_NESTED, &body)
}

fn datagram(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = ((body.len() + HEADER) as u32).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(2u16.to_ne_bytes());
    bytes.extend(7u32.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// A viewer at 203.0.113.9 who asked 198.51.100.1 and is answered by 192.168.1.50.
fn translated() -> Vec<u8> {
    let body = [
        vec![AF_INET, 0, 0, 0],
        tuple(CTA_TUPLE_ORIG, [203, 0, 113, 9], [198, 51, 100, 1]),
        tuple(CTA_TUPLE_REPLY, [192, 168, 1, 50], [203, 0, 113, 9]),
        attr(CTA_STATUS, &(IPS_DST_NAT | 0x8).to_be_bytes()),
        attr(CTA_ZONE, &[0, 3]),
        attr(CTA_ID, &[1, 2, 3, 4]),
    ];
    datagram(CT_NEW, &body.concat())
}

fn one(bytes: &[u8]) -> Option<(u32, Message<'_>)> {
    messages(bytes).next()
}

#[test]
fn a_flow_is_read_and_named_again() {
    let bytes = translated();
    let Some((7, Message::Flow(flow))) = one(&bytes) else { panic!("no flow") };
    assert!(flow.dnat);
    assert_eq!(flow.original_dst.to_string(), "198.51.100.1");
    assert_eq!(flow.reply_src.to_string(), "192.168.1.50");
    assert_eq!((flow.proto, flow.original_src.to_string()), (6, "203.0.113.9".into()));
    // The tuple of a test has the same ports both ways.
    assert_eq!(flow.ports, (8554, 40000));
    let delete = delete_flow(&flow, 9);
    let expected = [
        vec![AF_INET, 0, 0, 0],
        tuple(CTA_TUPLE_ORIG, [203, 0, 113, 9], [198, 51, 100, 1]),
        attr(CTA_ID, &[1, 2, 3, 4]),
        attr(CTA_ZONE, &[0, 3]),
    ]
    .concat();
    assert_eq!(delete.get(HEADER..).unwrap(), expected);
    assert_eq!(delete.first_chunk::<4>().unwrap(), &(delete.len() as u32).to_ne_bytes());
    assert_eq!(delete.get(4..8).unwrap(), [CT_DELETE.to_ne_bytes(), 5u16.to_ne_bytes()].concat());
}

#[test]
fn an_untranslated_flow_is_not_dnat() {
    let body = [
        vec![AF_INET, 0, 0, 0],
        tuple(CTA_TUPLE_ORIG, [203, 0, 113, 9], [192, 168, 1, 50]),
        tuple(CTA_TUPLE_REPLY, [192, 168, 1, 50], [203, 0, 113, 9]),
    ];
    let bytes = datagram(CT_NEW, &body.concat());
    let Some((_, Message::Flow(flow))) = one(&bytes) else { panic!("no flow") };
    assert!(!flow.dnat);
}

#[test]
fn a_flow_without_its_tuple_is_no_flow() {
    // Deleting by it would delete every connection of the machine.
    let reply = tuple(CTA_TUPLE_REPLY, [192, 168, 1, 50], [203, 0, 113, 9]);
    for orig in [Vec::new(), attr(CTA_TUPLE_ORIG, &[]), attr(CTA_TUPLE_ORIG, &attr(CTA_TUPLE_IP, &[]))] {
        let bytes = datagram(CT_NEW, &[vec![AF_INET, 0, 0, 0], orig, reply.clone()].concat());
        assert_eq!(one(&bytes), Some((7, Message::Other)));
    }
}

#[test]
fn ends_and_verdicts() {
    let verdict = |errno: i32| datagram(NLMSG_ERROR, &(-errno).to_ne_bytes());
    assert_eq!(one(&verdict(0)), Some((7, Message::Verdict(0))));
    assert_eq!(one(&verdict(22)), Some((7, Message::Verdict(22))));
    assert_eq!(one(&datagram(NLMSG_DONE, &[0; 4])), Some((7, Message::Done)));
    assert_eq!(one(&datagram(NLMSG_DONE, &[])), Some((7, Message::Done)));
    assert_eq!(one(&datagram(NLMSG_DONE, &(-4i32).to_ne_bytes())), Some((7, Message::Verdict(4))));
}

#[test]
fn a_generation_is_read() {
    let body = [vec![AF_UNSPEC, 0, 0, 9], attr(NFTA_GEN_ID, &0x0102_0304u32.to_be_bytes())].concat();
    let bytes = datagram(NEW_GENERATION, &body);
    assert_eq!(one(&bytes), Some((7, Message::Generation(0x0102_0304))));
}

#[test]
fn several_messages_and_torn_ones() {
    let bytes = [translated(), datagram(NLMSG_DONE, &[0; 4])].concat();
    assert_eq!(messages(&bytes).count(), 2);
    for length in 0..bytes.len() {
        let _ = messages(bytes.get(..length).unwrap()).count();
        let mut noisy = bytes.clone();
        *noisy.get_mut(length).unwrap() ^= 0xff;
        let _ = messages(&noisy).count();
    }
    assert_eq!(messages(&[0; 64]).count(), 0, "a length of zero must not loop");
}
