//! Frames, windows and streams, in pieces of any size, and what breaks them.

use super::*;
use proptest::prelude::*;

fn frame(kind: u8, flags: u16, id: u32, length: u32) -> Vec<u8> {
    let mut mux = Mux::new();
    mux.frame(kind, flags, id, length);
    mux.output()
}

fn data(id: u32, flags: u16, content: &[u8]) -> Vec<u8> {
    let mut bytes = frame(DATA, flags, id, content.len() as u32);
    bytes.extend(content);
    bytes
}

/// With so many streams, whose opening is sent.
fn mux(streams: usize) -> Mux {
    let mut mux = Mux::new();
    for _ in 0..streams {
        mux.open().unwrap();
    }
    mux.output();
    mux
}

/// All of a stream that is there, consumed at once.
fn drain(mux: &mut Mux, id: u32) -> Vec<u8> {
    let mut all = Vec::new();
    while let Taken::Bytes(bytes) = mux.take(id) {
        mux.consumed(id, bytes.len());
        all.extend(bytes);
    }
    all
}

#[test]
fn frames_as_the_specification_has_them() {
    let mut mux = Mux::new();
    assert_eq!(mux.open(), Some(1));
    assert_eq!(mux.output(), b"\x00\x01\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00");
    assert_eq!(mux.send(1, b"abc"), Some(3));
    assert_eq!(mux.output(), b"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x03abc");
    mux.receive(b"\x00\x02\x00\x01\x00\x00\x00\x00\xde\xad\xbe\xef").unwrap();
    assert_eq!(
        mux.output(),
        b"\x00\x02\x00\x02\x00\x00\x00\x00\xde\xad\xbe\xef",
        "a ping is answered at once"
    );
    mux.finish(1);
    assert_eq!(mux.output(), b"\x00\x01\x00\x04\x00\x00\x00\x01\x00\x00\x00\x00");
    assert_eq!(mux.open(), Some(3));
    mux.output();
    mux.close(3);
    assert_eq!(mux.output(), b"\x00\x01\x00\x08\x00\x00\x00\x03\x00\x00\x00\x00");
}

#[test]
fn what_comes_in_pieces_of_any_size() {
    let mut all = frame(UPDATE, ACK, 1, 0);
    all.extend(data(1, 0, b"hello"));
    all.extend(frame(PING, SYN, 0, 7));
    all.extend(data(3, 0, b"other"));
    all.extend(data(1, FIN, b" world"));
    for size in 1..=all.len() {
        let mut mux = mux(2);
        let mut found = Vec::new();
        for piece in all.chunks(size) {
            assert_ne!(mux.take(1), Taken::End, "the end is behind the content");
            mux.receive(piece).unwrap();
            found.extend(drain(&mut mux, 1));
        }
        assert_eq!((found.as_slice(), mux.take(1)), (&b"hello world"[..], Taken::End), "in pieces of {size}");
        assert_eq!(drain(&mut mux, 3), b"other");
        assert_eq!(mux.take(3), Taken::Nothing);
        assert_eq!(mux.output(), frame(PING, ACK, 0, 7));
    }
    for end in 0..all.len() {
        let mut mux = mux(2);
        mux.receive(&all[..end]).unwrap();
        let found = drain(&mut mux, 1);
        assert!(b"hello world".starts_with(&found), "cut at {end}");
        assert_eq!(mux.take(1), Taken::Nothing, "cut at {end}");
    }
}

#[test]
fn the_window_opens_only_as_bytes_are_consumed() {
    let mut mux = mux(1);
    let half = vec![7; WINDOW as usize / 2];
    mux.receive(&data(1, 0, &half)).unwrap();
    mux.receive(&data(1, 0, &half)).unwrap();
    let Taken::Bytes(bytes) = mux.take(1) else { panic!("nothing came") };
    assert_eq!(bytes.len(), WINDOW as usize);
    assert_eq!(mux.output(), b"", "taken is not consumed");
    mux.consumed(1, half.len() - 1);
    assert_eq!(mux.output(), b"", "less than half a window is not told");
    mux.consumed(1, 1);
    assert_eq!(mux.output(), frame(UPDATE, 0, 1, WINDOW / 2));
    mux.receive(&data(1, 0, &half)).unwrap();
    assert_eq!(mux.receive(&data(1, 0, b"x")), Err(Fault::Broken), "more than was allowed");
}

#[test]
fn nothing_is_sent_beyond_the_other_side_s_window() {
    let mut mux = mux(1);
    let piece = vec![7; 64 * 1024];
    let mut sent = 0;
    loop {
        let count = mux.send(1, &piece).unwrap();
        assert!(count <= PIECE);
        if count == 0 {
            break;
        }
        sent += count;
        assert!(mux.output().len() <= OUT_CAP + PIECE);
    }
    assert_eq!(sent, WINDOW as usize);
    mux.receive(&frame(UPDATE, 0, 1, 10)).unwrap();
    assert_eq!((mux.send(1, &piece), mux.send(1, &piece)), (Some(10), Some(0)));
    for _ in 0..3 {
        mux.receive(&frame(UPDATE, 0, 1, u32::MAX)).unwrap();
    }
    assert_eq!(mux.send(1, b"xyz"), Some(3));
}

#[test]
fn what_waits_to_be_sent_is_bounded_and_pings_are_not_held_up() {
    let mut mux = mux(2);
    let piece = vec![7; PIECE];
    while mux.send(1, &piece) != Some(0) {}
    assert_eq!(mux.send(3, &piece), Some(0));
    mux.receive(&frame(PING, SYN, 0, 9)).unwrap();
    let out = mux.output();
    assert!(out.ends_with(&frame(PING, ACK, 0, 9)) && out.len() <= OUT_CAP + 2 * PIECE);
    assert_eq!(mux.send(3, &piece), Some(PIECE));
    let flood = frame(PING, SYN, 0, 9).repeat(2 * OUT_CAP / HEAD + 1);
    assert_eq!(mux.receive(&flood), Err(Fault::Broken));
}

#[test]
fn a_stream_is_not_held_up_by_its_neighbours() {
    let mut mux = mux(4);
    let full = vec![7; WINDOW as usize];
    for id in [1, 3] {
        mux.receive(&data(id, 0, &full)).unwrap();
    }
    assert_eq!(mux.output(), b"");
    mux.receive(&data(5, 0, b"a")).unwrap();
    // One of the two that nobody reads had to go, the others did not.
    let lengths = [1, 3].map(|id| (drain(&mut mux, id).len(), id));
    let Some((0, gone)) = lengths.into_iter().min() else { panic!("{lengths:?}") };
    assert_eq!(lengths.into_iter().max(), Some((full.len(), 4 - gone)));
    let told = [frame(UPDATE, RST, gone, 0), frame(UPDATE, 0, 4 - gone, WINDOW)].concat();
    assert_eq!((mux.output(), mux.take(gone)), (told, Taken::Gone));
    assert_eq!(drain(&mut mux, 5), b"a");
    // What was under way for it goes nowhere.
    mux.receive(&data(gone, 0, b"late")).unwrap();
    mux.receive(&frame(UPDATE, RST, 5, 0)).unwrap();
    assert_eq!((mux.take(5), mux.send(5, b"x")), (Taken::Gone, None));
    assert_eq!((mux.take(7), mux.send(7, b"x")), (Taken::Nothing, Some(1)));
}

#[test]
fn both_directions_end_by_themselves() {
    let mut mux = mux(1);
    mux.finish(1);
    mux.finish(1);
    assert_eq!(mux.output(), frame(UPDATE, FIN, 1, 0), "once");
    assert_eq!(mux.send(1, b"x"), None);
    mux.receive(&data(1, 0, b"rest")).unwrap();
    mux.receive(&frame(UPDATE, FIN, 1, 0)).unwrap();
    assert_eq!(drain(&mut mux, 1), b"rest");
    assert_eq!(mux.take(1), Taken::End);
    mux.close(1);
    assert_eq!(mux.output(), b"", "nothing is broken off");
    assert_eq!(mux.take(1), Taken::Gone);
}

#[test]
fn streams_have_a_cap_and_numbers_are_not_used_again() {
    let mut mux = mux(MAX_STREAMS);
    assert_eq!(mux.open(), None);
    mux.close(1);
    assert_eq!(mux.open(), Some(MAX_STREAMS as u32 * 2 + 1));
    mux.receive(&frame(AWAY, 0, 0, 0)).unwrap();
    mux.close(3);
    assert_eq!(mux.open(), None, "the other side wants none");
    assert_eq!(mux.send(5, b"x"), Some(1), "but those that are there go on");
}

#[test]
fn faults_are_told() {
    for (bytes, fault) in [
        (&b"HTTP/1.1 400"[..], Fault::Foreign),
        (b"\x15\x03\x01\x00\x02\x02\x16\x00\x00\x00\x00\x00", Fault::Foreign),
        (b"\x01\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", Fault::Foreign),
        (b"\x00\x04\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00", Fault::Foreign),
        (b"\x00\x01\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00", Fault::Broken),
        (b"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x04\x00\x01", Fault::Broken),
        (b"\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01", Fault::Away),
    ] {
        assert_eq!(mux(1).receive(bytes), Err(fault), "{bytes:?}");
    }
    let mut mux = mux(1);
    mux.receive(&frame(UPDATE, FIN, 1, 0)).unwrap();
    assert_eq!(mux.receive(&data(1, 0, b"x")), Err(Fault::Broken), "after its end");
}

/// A session of three streams, as a server may send it.
fn session() -> Vec<u8> {
    let mut all = Vec::new();
    for id in [1, 3, 5] {
        all.extend(frame(UPDATE, ACK, id, 6 << 20));
        all.extend(data(id, 0, &[id as u8; 40]));
    }
    all.extend(frame(PING, SYN, 0, 1));
    all.extend(frame(UPDATE, RST, 3, 0));
    all.extend(data(5, FIN, b"end"));
    all.extend(frame(AWAY, 0, 0, 0));
    all
}

proptest! {
    #[test]
    fn one_byte_changed_breaks_no_bound(at in 0usize..400, byte: u8, size in 1usize..60) {
        let mut all = session();
        let at = at % all.len();
        all[at] = byte;
        let mut mux = mux(3);
        for piece in all.chunks(size) {
            if mux.receive(piece).is_err() {
                break;
            }
            prop_assert!(mux.streams.values().map(|stream| stream.inbox.len()).sum::<usize>() <= all.len());
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
        let mut mux = mux(3);
        let _ = mux.receive(&bytes);
        for id in 0..8 {
            let _ = mux.take(id);
            mux.consumed(id, bytes.len());
            mux.finish(id);
            mux.close(id);
        }
    }
}
