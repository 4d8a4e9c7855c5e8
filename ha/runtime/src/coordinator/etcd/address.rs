//! Where etcd is: `host:port,host:port`, or `https://host:port,...?ca=FILE&cert=FILE&key=FILE`.

use std::fs;

use etcd_client::{Certificate, Identity, TlsOptions};

const PORT_DEFAULT: u16 = 2379;

/// The servers of one cluster, and how to trust them.
#[derive(Clone, Debug)]
pub struct Address {
    /// `scheme://host:port` each; at least one.
    pub endpoints: Vec<String>,
    /// Set for `https`.
    pub tls: Option<TlsOptions>,
}

impl Address {
    /// Reads a list of servers, and the files that it names.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (list, options) = match text.split_once('?') {
            Some((list, options)) => (list, Files::parse(options)?),
            None => (text, Files::default()),
        };
        let mut endpoints = Vec::new();
        let mut schemes = Vec::new();
        for server in list.split(',') {
            let (scheme, rest) = match server.trim().split_once("://") {
                Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
                Some((other, _)) => {
                    return Err(format!("`{other}` is not http or https"));
                }
                None if options.is_some() => ("https", server.trim()),
                None => ("http", server.trim()),
            };
            endpoints.push(format!("{scheme}://{}", with_port(rest)?));
            schemes.push(scheme);
        }
        let secure = schemes.contains(&"https");
        if secure && schemes.contains(&"http") {
            return Err("http and https do not go together".to_owned());
        }
        if options.is_some() && !secure {
            return Err("ca, cert and key need https".to_owned());
        }
        let tls = secure.then(|| options.load()).transpose()?;
        Ok(Self { endpoints, tls })
    }
}

/// `host:port`, with the port that etcd has by default when there is none.
fn with_port(server: &str) -> Result<String, String> {
    let server = server.strip_suffix('/').unwrap_or(server);
    let invalid = || format!("`{server}` is not host:port");
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]%".contains(c);
    if server.is_empty() || !server.chars().all(plain) {
        return Err(invalid());
    }
    let end_of_host = server.rfind(']').map_or(0, |at| at + 1);
    match server[end_of_host..].rsplit_once(':') {
        None => Ok(format!("{server}:{PORT_DEFAULT}")),
        Some((_, port)) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Ok(server.to_owned()),
            _ => Err(invalid()),
        },
    }
}

/// Files that say whom to trust, and who we are.
#[derive(Debug, Default)]
struct Files<'a> {
    ca: Option<&'a str>,
    cert: Option<&'a str>,
    key: Option<&'a str>,
}

impl<'a> Files<'a> {
    fn parse(options: &'a str) -> Result<Self, String> {
        let mut files = Self::default();
        for option in options.split('&') {
            let slot = match option.split_once('=') {
                Some(("ca", file)) if !file.is_empty() => (&mut files.ca, file),
                Some(("cert", file)) if !file.is_empty() => (&mut files.cert, file),
                Some(("key", file)) if !file.is_empty() => (&mut files.key, file),
                _ => {
                    let known = "expected ca=FILE, cert=FILE or key=FILE";
                    return Err(format!("unknown option `{option}`, {known}"));
                }
            };
            *slot.0 = Some(slot.1);
        }
        if files.cert.is_some() == files.key.is_some() {
            Ok(files)
        } else {
            Err("cert and key go together".to_owned())
        }
    }

    const fn is_some(&self) -> bool {
        self.ca.is_some() || self.cert.is_some()
    }

    fn load(&self) -> Result<TlsOptions, String> {
        let mut tls = match self.ca {
            Some(ca) => TlsOptions::new().ca_certificate(Certificate::from_pem(read(ca)?)),
            None => TlsOptions::new().with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (self.cert, self.key) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(tls)
    }
}

fn read(file: &str) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| format!("read {file}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(text: &str) -> Vec<String> {
        Address::parse(text).unwrap().endpoints
    }

    #[test]
    fn servers_are_listed_with_or_without_scheme_and_port() {
        assert_eq!(
            endpoints("a:1, http://b,[::1]:3,[::1]"),
            [
                "http://a:1",
                "http://b:2379",
                "http://[::1]:3",
                "http://[::1]:2379"
            ]
        );
        assert_eq!(endpoints("https://a:1/"), ["https://a:1"]);
        assert!(Address::parse("https://a").unwrap().tls.is_some());
        assert!(Address::parse("a").unwrap().tls.is_none());
    }

    #[test]
    fn mistakes_are_told() {
        for (text, part) in [
            ("", "host:port"),
            ("a,", "host:port"),
            ("a:0", "host:port"),
            ("a:x", "host:port"),
            ("a/v2/keys", "host:port"),
            ("ftp://a", "http or https"),
            ("http://a,https://b", "do not go together"),
            ("http://a?ca=/etc/hostname", "need https"),
            ("https://a?cert=/x", "go together"),
            ("https://a?ca=/nonexistent", "read /nonexistent"),
            ("https://a?cacert=/x", "unknown option"),
        ] {
            let told = Address::parse(text).unwrap_err();
            assert!(told.contains(part), "{text}: {told}");
        }
    }
}
