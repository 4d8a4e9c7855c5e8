//! `CLIENT KILL`.

use bytes::Bytes;
use codis_core::resp::Value;

use super::super::super::clients::{Filter, Type};
use super::super::super::render::integer;
use super::super::super::session::Session;
use super::super::text;
use super::{error, syntax_error};
use crate::pubsub::SessionId;

pub(super) fn run(session: &mut Session, words: &[Bytes]) -> Value {
    if let [addr] = words {
        let filter = Filter {
            addr: Some(text(addr)),
            ..Filter::default()
        };
        return match kill(session, &filter) {
            0 => error("ERR No such client"),
            _ => Value::ok(),
        };
    }
    match filter(session, words) {
        Ok(filter) => integer(kill(session, &filter)),
        Err(error) => error,
    }
}

/// Ends what the filter selects; this session after its reply.
fn kill(session: &mut Session, filter: &Filter) -> usize {
    let (count, own_too) = session.shared.clients().kill(filter, session.id);
    session.closing |= own_too;
    count
}

fn filter(session: &Session, words: &[Bytes]) -> Result<Filter, Value> {
    let mut filter = Filter {
        skip_own: true,
        ..Filter::default()
    };
    for pair in words.chunks(2) {
        let [option, value] = pair else {
            return Err(syntax_error());
        };
        let value = text(value);
        match text(option).to_ascii_lowercase().as_str() {
            "id" => filter.id = Some(id(&value)?),
            "type" => {
                let kind = Type::from_name(&value);
                let unknown = || error(format!("ERR Unknown client type '{value}'"));
                filter.kind = Some(kind.ok_or_else(unknown)?);
            }
            "addr" => filter.addr = Some(value),
            "laddr" => filter.local = Some(value),
            "user" if session.shared.has_user(&value) => filter.user = Some(value),
            "user" => return Err(error(format!("ERR No such user '{value}'"))),
            "skipme" => {
                filter.skip_own = match value.to_ascii_lowercase().as_str() {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(syntax_error()),
                }
            }
            "maxage" => filter.age_min = age(&value)?,
            _ => return Err(syntax_error()),
        }
    }
    Ok(filter)
}

fn id(value: &str) -> Result<SessionId, Value> {
    let id = value.parse::<i64>().ok().filter(|id| *id > 0);
    id.and_then(|id| SessionId::try_from(id).ok())
        .ok_or_else(|| error("ERR client-id should be greater than 0"))
}

fn age(value: &str) -> Result<u64, Value> {
    let Ok(age) = value.parse::<i64>() else {
        return Err(error("ERR maxage is not an integer or out of range"));
    };
    match u64::try_from(age) {
        Ok(age) if age > 0 => Ok(age),
        _ => Err(error("ERR maxage should be greater than 0")),
    }
}
