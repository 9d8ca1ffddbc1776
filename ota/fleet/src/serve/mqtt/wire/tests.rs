//! Packets as clients send them, made by the same codec's other side; and bytes that nobody means.

use proptest::prelude::*;

use super::*;

/// What a session makes of bytes: the packets that it understood, and how it ended.
fn heard(bytes: &[u8]) -> (Option<Connect>, Vec<Packet>, Option<Broken>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(bytes.len() + 64);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let mut wire = Wire::new(server);
        let connect = match wire.connect().await {
            Ok(connect) => connect,
            Err(broken) => return (None, Vec::new(), Some(broken)),
        };
        let mut packets = Vec::new();
        loop {
            match wire.next() {
                Ok(Some(packet @ Packet::Disconnect { .. })) => {
                    packets.push(packet);
                    return (Some(connect), packets, None);
                }
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => {
                    if let Err(broken) = wire.read().await {
                        return (Some(connect), packets, Some(broken));
                    }
                }
                Err(broken) => return (Some(connect), packets, Some(broken)),
            }
        }
    })
}

fn four(packets: &[v4::Packet]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.write(&mut bytes, usize::MAX).unwrap();
    }
    bytes.to_vec()
}

fn five(packets: &[v5::Packet]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.write(&mut bytes, None).unwrap();
    }
    bytes.to_vec()
}

fn connect4() -> v4::Packet {
    let mut connect = v4::Connect::new("device");
    connect.last_will = Some(v4::LastWill::new("a/available", "offline", mqttbytes::QoS::AtLeastOnce, true));
    v4::Packet::Connect(connect)
}

fn connect5() -> v5::Packet {
    let properties = v5::ConnectProperties { receive_maximum: Some(7), ..v5::ConnectProperties::new() };
    let connect = v5::Connect {
        keep_alive: 30,
        client_id: "device".into(),
        clean_start: true,
        properties: Some(properties),
    };
    let will = v5::LastWill::new("a/available", "offline", mqttbytes5::QoS::AtLeastOnce, true, None);
    v5::Packet::Connect(connect, Some(will), None)
}

#[test]
fn both_versions_say_the_same() {
    let mut publish4 = v4::Publish::new("a/state", mqttbytes::QoS::AtLeastOnce, "x");
    (publish4.pkid, publish4.retain) = (9, true);
    let mut subscribe4 = v4::Subscribe::new("a/cmd/#", mqttbytes::QoS::ExactlyOnce);
    subscribe4.pkid = 3;
    let by_four = [
        connect4(),
        v4::Packet::Publish(publish4),
        v4::Packet::Subscribe(subscribe4),
        v4::Packet::PingReq,
        v4::Packet::PubAck(v4::PubAck::new(5)),
        v4::Packet::Disconnect,
    ];
    let mut publish5 = v5::Publish::new("a/state", mqttbytes5::QoS::AtLeastOnce, "x", None);
    (publish5.pkid, publish5.retain) = (9, true);
    let mut subscribe5 = v5::Subscribe::new(v5::Filter::new("a/cmd/#", mqttbytes5::QoS::ExactlyOnce), None);
    subscribe5.pkid = 3;
    let by_five = [
        connect5(),
        v5::Packet::Publish(publish5),
        v5::Packet::Subscribe(subscribe5),
        v5::Packet::PingReq(v5::PingReq),
        v5::Packet::PubAck(v5::PubAck::new(5, None)),
    ];
    let mut by_five = five(&by_five);
    // As most clients leave: without a reason.
    by_five.extend([0xe0, 0]);
    let expected = [
        Packet::Publish {
            topic: "a/state".into(),
            payload: Bytes::from_static(b"x"),
            retain: true,
            id: Some(9),
        },
        Packet::Subscribe { id: 3, filters: vec![("a/cmd/#".into(), true)] },
        Packet::Ping,
        Packet::PubAck(5),
        Packet::Disconnect { with_will: false },
    ];
    for (bytes, receive_most) in [(four(&by_four), u16::MAX), (by_five, 7)] {
        let (connect, packets, broken) = heard(&bytes);
        let connect = connect.unwrap();
        assert_eq!((connect.client_id.as_str(), connect.receive_most), ("device", receive_most));
        assert_eq!(connect.will, Some(("a/available".into(), Bytes::from_static(b"offline"))));
        assert_eq!(packets, expected);
        assert!(broken.is_none(), "{broken:?}");
    }
}

#[test]
fn what_is_too_large_ends_before_it_is_held() {
    let too_large = usize::try_from(LARGEST).unwrap();
    let publish = v4::Publish::new("a/state", mqttbytes::QoS::AtMostOnce, vec![b'x'; too_large]);
    let bytes = four(&[connect4(), v4::Packet::Publish(publish)]);
    // The header alone decides; the content does not have to come.
    let (_, packets, broken) = heard(&bytes[..200]);
    assert!(matches!(broken, Some(Broken::TooLarge)) && packets.is_empty(), "{broken:?}");
    let long = v4::Connect::new("x".repeat(60_000));
    let (connect, _, broken) = heard(&four(&[v4::Packet::Connect(long)]));
    assert!(connect.is_none() && matches!(broken, Some(Broken::TooLarge)), "{broken:?}");
}

#[test]
fn other_versions_and_other_protocols_are_turned_away() {
    let of = |name: &str, level: u8| {
        let mut bytes =
            vec![0x10, u8::try_from(12 + name.len()).unwrap(), 0, u8::try_from(name.len()).unwrap()];
        bytes.extend(name.bytes());
        bytes.extend([level, 2, 0, 60, 0, 4, b'n', b'a', b'm', b'e']);
        bytes
    };
    for (name, level) in [("MQIsdp", 3), ("MQTT", 3), ("MQTT", 6)] {
        assert!(matches!(heard(&of(name, level)).2, Some(Broken::Version)), "{name} {level}");
    }
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x30, 3, 0, 1, b'a'], &[0x10, 0xff, 0xff, 0xff, 0xff, 1]]
    {
        assert!(matches!(heard(bytes).2, Some(Broken::Malformed(_))), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_bring_a_session_down(
        is_five: bool,
        at in 0_usize..200,
        with in proptest::collection::vec(any::<u8>(), 0..40),
        random in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = heard(&random);
        let mut good = if is_five { five(&[connect5()]) } else { four(&[connect4()]) };
        let _ = heard(&[good.clone(), random].concat());
        let at = at % good.len();
        let until = (at + with.len()).min(good.len());
        good.splice(at..until, with);
        let _ = heard(&good);
    }
}
