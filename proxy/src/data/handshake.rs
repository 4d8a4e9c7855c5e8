//! How a client introduces itself: `AUTH`, `HELLO`, `RESET`.
//!
//! `AUTH password` answers in the words of Codis, everything newer in those of Redis. There is one
//! user, `default`. Whatever form is used, a wrong password ends an earlier authentication.

use bytes::Bytes;
use codis_core::resp::{Protocol, Value};

use super::client;
use super::io::Io;
use super::reply;

/// Says that a client should speak as to a server of this version.
const SERVER_VERSION: &str = "7.0.0";

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

impl Io {
    /// `AUTH password` and `AUTH user password`.
    pub(super) fn auth(&mut self) -> Bytes {
        match (self.arg(1), self.arg(2), self.arg(3)) {
            (Some(password), None, _) => {
                let wanted = self.worker.settings().session_auth.as_bytes();
                if wanted.is_empty() {
                    return reply::error("ERR Client sent AUTH, but no password is set");
                }
                self.authenticated = is_same(password, wanted);
                if self.authenticated {
                    reply::OK
                } else {
                    reply::error("ERR invalid password")
                }
            }
            (Some(_), Some(_), None) => self.authenticate(1).err().unwrap_or(reply::OK),
            _ => reply::wrong_arguments("AUTH"),
        }
    }

    /// Takes the user from argument `index` and the password from the one behind it. Without a
    /// password of the proxy, any is right, as for a user of Redis that needs none.
    fn authenticate(&mut self, index: usize) -> Result<(), Bytes> {
        let user = self.arg(index).unwrap_or_default();
        let password = self.arg(index + 1).unwrap_or_default();
        let wanted = self.worker.settings().session_auth.as_bytes();
        let right = wanted.is_empty() || is_same(password, wanted);
        if user == b"default" && right {
            self.authenticated = true;
            return Ok(());
        }
        self.authenticated = wanted.is_empty();
        Err(reply::error(WRONG_PASSWORD))
    }

    /// `HELLO [2|3 [AUTH user password] [SETNAME name]]`.
    pub(super) fn hello(&mut self) -> Bytes {
        let mut protocol = self.session.protocol();
        if let Some(version) = self.arg(1) {
            match std::str::from_utf8(version).map(str::parse::<i64>) {
                Ok(Ok(number)) => match Protocol::from_number(number) {
                    Some(Protocol::Resp3) if !self.worker.takes_resp3() => {
                        return reply::NO_PROTO;
                    }
                    Some(asked) => protocol = asked,
                    None => return reply::NO_PROTO,
                },
                Ok(Err(_)) | Err(_) => {
                    return reply::error("ERR Protocol version is not an integer or out of range");
                }
            }
        }
        let (mut user, mut name) = (None, None);
        let mut next = 2;
        while let Some(option) = self.arg(next) {
            if option.eq_ignore_ascii_case(b"AUTH") && self.arg(next + 2).is_some() {
                user = Some(next + 1);
                next += 3;
            } else if option.eq_ignore_ascii_case(b"SETNAME")
                && let Some(given) = self.arg(next + 1)
            {
                if !client::is_plain(given) {
                    return client::bad_name();
                }
                name = Some(next + 1);
                next += 2;
            } else {
                let option = self.arg_text(next);
                return reply::error(&format!("ERR Syntax error in HELLO option '{option}'"));
            }
        }
        if let Some(user) = user
            && let Err(refusal) = self.authenticate(user)
        {
            return refusal;
        }
        if !self.authenticated {
            return reply::error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
                 HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client \
                 and select the RESP protocol version at the same time",
            );
        }
        if let Some(name) = name {
            self.session.set_name(self.arg(name).unwrap_or_default());
        }
        self.session.set_protocol(protocol);
        self.hello_reply()
    }

    fn hello_reply(&self) -> Bytes {
        let protocol = self.session.protocol();
        let text = |text: &'static str| Value::bulk(text);
        let pairs = [
            ("server", text("redis")),
            ("version", text(SERVER_VERSION)),
            ("proto", Value::Integer(protocol.number())),
            ("id", Value::Integer(self.session.id as i64)),
            ("mode", text("standalone")),
            ("role", text("master")),
            ("modules", Value::array([])),
        ];
        let pairs = pairs.map(|(name, value)| (text(name), value));
        Value::Map(pairs.into()).to_bytes_as(protocol)
    }

    /// The connection is as it was when it was new.
    pub(super) fn reset(&mut self) -> Bytes {
        self.db = 0;
        self.authenticated = self.worker.settings().session_auth.is_empty();
        self.session.set_name(b"");
        self.session.set_protocol(Protocol::default());
        Bytes::from_static(b"+RESET\r\n")
    }
}

/// Compares without telling by its time how much is right.
fn is_same(given: &[u8], wanted: &[u8]) -> bool {
    let differences = given.iter().zip(wanted).map(|(a, b)| a ^ b);
    given.len() == wanted.len() && differences.fold(0, |all, bits| all | bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_the_same_or_not() {
        assert!(is_same(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secrets", b"Secret", b"secreT"] {
            assert!(!is_same(other, b"secret"));
        }
    }
}
