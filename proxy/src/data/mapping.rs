//! The reply of `SLOTSMAPPING`.

use bytes::Bytes;
use codis_core::resp::{Protocol, Value, write_array, write_simple};

use crate::route::{Route, Table};

/// All slots.
pub fn all(table: &Table, protocol: Protocol) -> Bytes {
    let mut out = Vec::with_capacity(table.routes.len() * 64);
    write_array(&mut out, table.routes.len());
    for route in &table.routes {
        entry(&mut out, route, protocol);
    }
    Bytes::from(out)
}

/// One slot.
pub fn one(route: &Route, protocol: Protocol) -> Bytes {
    let mut out = Vec::with_capacity(64);
    entry(&mut out, route, protocol);
    Bytes::from(out)
}

fn entry(out: &mut Vec<u8>, route: &Route, protocol: Protocol) {
    let slot = &route.wire;
    write_array(out, 4);
    write_simple(out, slot.id.to_string().as_bytes());
    write_simple(out, slot.backend_addr.as_bytes());
    write_simple(out, slot.migrate_from.as_bytes());
    if slot.replica_groups.is_empty() {
        return Value::Array(None).encode_as(protocol, out);
    }
    write_array(out, slot.replica_groups.len());
    for group in &slot.replica_groups {
        write_array(out, group.len());
        for address in group {
            write_simple(out, address.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_shape_of_codis() {
        let mut route = Table::offline().routes[7].clone();
        let null = one(&route, Protocol::Resp2);
        assert_eq!(null, "*4\r\n+7\r\n+\r\n+\r\n*-1\r\n");
        let null = one(&route, Protocol::Resp3);
        assert_eq!(null, "*4\r\n+7\r\n+\r\n+\r\n_\r\n");
        route.wire.backend_addr = "a:1".to_owned();
        route.wire.replica_groups = vec![vec!["b:1".to_owned()]];
        assert_eq!(
            one(&route, Protocol::Resp2),
            "*4\r\n+7\r\n+a:1\r\n+\r\n*1\r\n*1\r\n+b:1\r\n"
        );
    }
}
