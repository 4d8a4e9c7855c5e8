//! What is said to clients that have not given the password.

use super::exchange;
use crate::support::Sentinel;

const TEXTS: &[&str] = &[
    "PING\r\n",
    "PING a b c\r\n",
    "FOO\r\n",
    "SENTINEL FOO\r\n",
    "SENTINEL MASTER\r\n",
    "CLIENT ID\r\nCLIENT ID x\r\n",
    "COMMAND COUNT\r\n",
    "INFO\r\nROLE\r\nSUBSCRIBE a\r\nPUBLISH a b\r\n",
    "QUIT\r\n",
    "HELLO\r\n",
    "HELLO 2\r\n",
    "HELLO 3\r\n",
    "HELLO 3 SETNAME a\r\n",
    "HELLO 4\r\n",
    "HELLO x\r\n",
    "HELLO 3 AUTH default\r\n",
    "HELLO 3 AUTH default wrong\r\nPING\r\n",
    "HELLO 3 AUTH bob s3cret\r\n",
    "HELLO 3 AUTH default s3cret\r\nSENTINEL GET-MASTER-ADDR-BY-NAME x\r\n",
    "HELLO 2 AUTH default s3cret SETNAME me\r\nCLIENT GETNAME\r\n",
    "AUTH\r\n",
    "AUTH wrong\r\nPING\r\n",
    "AUTH default wrong\r\n",
    "AUTH bob s3cret\r\n",
    "AUTH a b c\r\n",
    "AUTH s3cret\r\nPING\r\nAUTH wrong\r\nPING\r\n",
    "AUTH default s3cret\r\nPING\r\n",
    "*10\r\n$4\r\nPING\r\n",
    "*11\r\n$4\r\nPING\r\n",
    "*2\r\n$4\r\nPING\r\n$16385\r\n",
    "*x\r\n",
    "AUTH s3cret\r\n*11\r\n$4\r\nPING\r\n$1\r\n1\r\n",
];

/// Compares them.
pub fn check() {
    let lines = "requirepass s3cret\n";
    let (ours, stock) = (Sentinel::ours(lines), Sentinel::stock(lines));
    let long = [
        b"*2\r\n$4\r\nPING\r\n$16384\r\n".as_slice(),
        &[b'x'; 16384],
        b"\r\n",
    ]
    .concat();
    let texts = TEXTS.iter().map(|text| text.as_bytes().to_vec());
    let mut differences = Vec::new();
    for bytes in texts.chain([long]) {
        let [ours, stock] = [&ours, &stock].map(|peer| exchange(peer, &bytes));
        // Redis 7.2 and later name the version.
        let stock = stock.replace("the HELLO AUTH <user>", "the HELLO <proto> AUTH <user>");
        if ours != stock {
            let shown = bytes[..bytes.len().min(80)].escape_ascii();
            differences.push(format!("{shown}\n  ours:  {ours}\n  stock: {stock}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
