use super::*;

/// Key, slot and CRC-32 of the hashed part, as the original server's `SLOTSHASHKEY` computes them.
const VECTORS: &[(&[u8], u16, u32)] = &[
    (b"", 0, 0x0000_0000),
    (b"a", 579, 0xe8b7_be43),
    (b"b", 1017, 0x71be_eff9),
    (b"0", 801, 0xf4db_df21),
    (b"foo", 289, 0x8c73_6521),
    (b"bar", 170, 0x76ff_8caa),
    (b"hello", 646, 0x3610_a686),
    (b"123456789", 294, 0xcbf4_3926),
    (b"key:000000000001", 5, 0x2f2b_8c05),
    (b"user:1001", 885, 0xe873_2775),
    (b"{", 825, 0x15d5_4739),
    (b"}", 524, 0xfcb6_e20c),
    (b"{}", 0, 0x0000_0000),
    (b"}{", 496, 0x1c9f_bdf0),
    (b"}{}", 0, 0x0000_0000),
    (b"{}a", 0, 0x0000_0000),
    (b"a{}b", 0, 0x0000_0000),
    (b"{a}", 579, 0xe8b7_be43),
    (b"{a}b", 579, 0xe8b7_be43),
    (b"x{a}y", 579, 0xe8b7_be43),
    (b"{a", 780, 0xb7a7_e30c),
    (b"a{b", 76, 0xd923_d84c),
    (b"a}b", 970, 0x8f79_7fca),
    (b"{{a}}", 780, 0xb7a7_e30c),
    (b"{{a}", 780, 0xb7a7_e30c),
    (b"{a}{b}", 579, 0xe8b7_be43),
    (b"{}{a}", 0, 0x0000_0000),
    (b"}{a}", 579, 0xe8b7_be43),
    (b"{a}}", 579, 0xe8b7_be43),
    (b"a{b}c{d}", 1017, 0x71be_eff9),
    (b"{\x00}", 909, 0xd202_ef8d),
    (b"\x00", 909, 0xd202_ef8d),
    (b"\x00\x00\x00\x00", 796, 0x2144_df1c),
    (b"\xff\xfe{\x80\x81}\x00", 258, 0xe0e5_3902),
    (b"\r\n", 428, 0x14a2_85ac),
    (b"{\r\n}", 428, 0x14a2_85ac),
    (b" ", 837, 0xe96c_cf45),
    (b"{ }", 837, 0xe96c_cf45),
    (b"A", 651, 0xd3d9_9e8b),
    (b"{A}", 651, 0xd3d9_9e8b),
    (b"user{1000}.following", 791, 0xb427_a317),
    (b"user{1000}.followers", 791, 0xb427_a317),
    (b"foo{}{bar}", 0, 0x0000_0000),
    (b"foo{{bar}}zap", 313, 0x14c4_ad39),
    (b"foo{bar}{zap}", 170, 0x76ff_8caa),
    (b"abc{}", 0, 0x0000_0000),
    (b"\xe9\x94\xae", 972, 0x7d31_f3cc),
    (b"{\xe9\x94\xae}\xe5\x80\xbc", 972, 0x7d31_f3cc),
    (&[b'x'; 1000], 486, 0x3b41_c9e6),
    (
        b"{yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy}",
        395,
        0x4492_a58b,
    ),
    (b"[a]", 1004, 0xf694_6fec),
    (b"(a)", 192, 0xf74b_0cc0),
    (b"<{tag}>", 899, 0x0389_b783),
    (b"{abc", 81, 0x571f_6051),
];

#[test]
fn every_key_hashes_as_on_the_original_server() {
    for &(key, slot, crc) in VECTORS {
        let shown = key.escape_ascii();
        assert_eq!(crc32fast::hash(hash_tag(key)), crc, "crc of {shown}");
        assert_eq!(SlotId::of_key(key).get(), slot, "slot of {shown}");
    }
}

#[test]
fn only_1024_ids_exist() {
    assert_eq!(SlotId::all().len(), SLOTS);
    assert!(SlotId::all().enumerate().all(|(i, slot)| slot.index() == i));
    assert_eq!(SlotId::new(1023).map(SlotId::get), Some(1023));
    assert_eq!(SlotId::new(1024), None);
    assert!(serde_json::from_str::<SlotId>("1024").is_err());
    assert_eq!(serde_json::to_string(&SlotId::of_key(b"a")).unwrap(), "579");
}
