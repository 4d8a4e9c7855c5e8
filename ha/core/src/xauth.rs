//! Tokens and the shared secret that Codis puts into its admin URLs.

use md5::Md5;
use sha2::{Digest, Sha256};

/// The secret of a dashboard's API: it depends on the product name alone.
pub fn dashboard(product_name: &str) -> String {
    digest::<Sha256>(&format!("Codis-XAuth-[{product_name}]"))
}

/// The secret of a proxy's API.
pub fn proxy(product_name: &str, product_auth: &str, token: &str) -> String {
    digest::<Sha256>(&format!(
        "Codis-XAuth-[{product_name}]-[{product_auth}]-[{token}]"
    ))
}

/// A proxy's identity. `macs` are the hardware addresses of the host, in any order; `listen` and
/// `admin` the bound addresses.
pub fn proxy_token(macs: &[String], product_name: &str, listen: &str, admin: &str) -> String {
    digest::<Md5>(&format!(
        "Codis-Token@{}-{{{product_name}}}-{{{listen}}}-{{{admin}}}",
        bracketed(macs)
    ))
}

/// A dashboard's identity, from the same parts less the client listener.
pub fn dashboard_token(macs: &[String], product_name: &str, admin: &str) -> String {
    digest::<Md5>(&format!(
        "Codis-Token@{}-{{{product_name}}}-{{{admin}}}",
        bracketed(macs)
    ))
}

fn bracketed(macs: &[String]) -> String {
    let mut sorted = macs.to_vec();
    sorted.sort();
    format!("[{}]", sorted.join(" "))
}

/// The first 16 bytes of a digest, as lower-case hex.
fn digest<D: Digest>(text: &str) -> String {
    D::digest(text.as_bytes())
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_come_out() {
        assert_eq!(dashboard("demo"), "c32db19baf104a834a2d07a99c55a19a");
        assert_eq!(
            proxy("codis-demo", "", "316fdca6af6a14d07e784bc755ffe074"),
            "529ac392b30fdc5d4604223fbfb58e77"
        );
    }

    #[test]
    fn the_order_of_macs_does_not_matter() {
        let macs = ["b", "a"].map(String::from);
        let sorted = ["a", "b"].map(String::from);
        let of = |m: &[String]| proxy_token(m, "p", "0.0.0.0:19000", "0.0.0.0:11080");
        assert_eq!(of(&macs), of(&sorted));
        assert_eq!(of(&macs).len(), 32);
    }
}
