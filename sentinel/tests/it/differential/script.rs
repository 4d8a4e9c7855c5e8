//! What a script is made of, and the scripts of bytes.

/// One step of a script.
pub enum Step {
    /// A request on the connection that the script has, and how many replies it gets.
    Say(&'static str, usize),
    /// Bytes on a connection of their own, which is closed behind them.
    Raw(Vec<u8>),
}

/// A request with one reply, for each line.
pub fn lines(text: &'static str) -> impl Iterator<Item = Step> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| Step::Say(line, 1))
}

/// The words of a line; double quotes hold one together.
pub fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap(),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.as_bytes().to_vec());
        rest = tail.trim_start();
    }
    words
}

/// What is sent as it is.
const TEXTS: &[&str] = &[
    "PING\r\n",
    "PING\n",
    "ping \"a b\"\r\n",
    "ping 'a'\r\n",
    "ping \"a\\x41\\n\\\"\"\r\n",
    "  PING   x  \r\n",
    "PING 'a\r\n",
    "PING \"a\r\n",
    "PING \"a\"b\r\n",
    "\r\n\r\nPING\r\n",
    "   \r\nPING\r\n",
    "PING\tx\r\n",
    "sentinel get-master-addr-by-name nobody\r\n",
    "FOO bar\r\nPING\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    "Host: x\r\nPING\r\n",
    "*2\r\n$4\r\nPOST\r\n$1\r\n/\r\n*1\r\n$4\r\nPING\r\n",
    "QUIT\r\nPING\r\n",
    "*0\r\n*1\r\n$4\r\nPING\r\n",
    "*-1\r\n*1\r\n$4\r\nPING\r\n",
    "*-7\r\n*1\r\n$4\r\nPING\r\n",
    "*\r\n",
    "*x\r\n",
    "*1x\r\n",
    "* 1\r\n",
    "*01\r\n",
    "*+1\r\n",
    "*-0\r\n",
    "*1\n$4\r\nPING\r\n",
    "*3000000000\r\n",
    "*99999999999999999999\r\n",
    "*1\r\n+PING\r\n",
    "*1\r\nPING\r\n",
    "*1\r\n:4\r\nPING\r\n",
    "*1\r\n*1\r\n$4\r\nPING\r\n",
    "*1\r\n\r\n",
    "*1\r\n\n",
    "*1\r\n$\r\n",
    "*1\r\n$x\r\n",
    "*1\r\n$-1\r\n",
    "*1\r\n$+4\r\nPING\r\n",
    "*1\r\n$04\r\nPING\r\n",
    "*1\r\n$600000000\r\n",
    "*1\r\n$0\r\n\r\n",
    "*2\r\n$4\r\nPING\r\n:5\r\n",
    "*2\r\n$4\r\nPING\r\n$0\r\n\r\n",
    "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\nPING x\r\n*2\r\n$4\r\nROLE\r\n$1\r\nx\r\n",
    "*3\r\n$8\r\nSENTINEL\r\n$6\r\nMASTER\r\n$1\r\nx\r\nPING\r\n*1\r\n$3\r\nFOO\r\nPING\r\n",
    "PING\r\n*1\r\n$x\r\nPING\r\n",
    "HELLO 3\r\nCLIENT GETNAME\r\nSENTINEL MASTER nobody\r\nFOO\r\nHELLO 9\r\n",
    "CLIENT REPLY OFF\r\nPING\r\nCLIENT REPLY ON\r\nPING\r\n",
    "CLIENT REPLY SKIP\r\nPING\r\nPING x\r\n",
    "CLIENT REPLY SKIP\r\nFOO\r\nPING x\r\n",
    "CLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nPING x\r\n",
    "CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nPING x\r\n",
    "CLIENT REPLY OFF\r\nCLIENT REPLY SKIP\r\nPING\r\nCLIENT REPLY ON\r\n",
    "CLIENT REPLY OFF\r\nSUBSCRIBE a b\r\nPING\r\n",
    "HELLO 3\r\nCLIENT REPLY OFF\r\nSUBSCRIBE a a\r\nPING\r\nUNSUBSCRIBE\r\n",
    "CLIENT REPLY FOO\r\nCLIENT REPLY\r\n",
    "SUBSCRIBE a\r\nCLIENT ID\r\nPING\r\nPING x\r\nUNSUBSCRIBE\r\nPING\r\n",
];
/// Inline requests, pipelines, and what is no request.
pub fn bytes() -> Vec<Step> {
    let texts = TEXTS.iter().map(|text| text.as_bytes().to_vec());
    let long = [
        [b"PING ".as_slice(), &vec![b'x'; 60_000], b"\r\n"].concat(),
        vec![b'x'; 70_000],
        [b"*".as_slice(), &vec![b'1'; 70_000]].concat(),
        [b"*1\r\n$".as_slice(), &vec![b'1'; 70_000]].concat(),
        b"*1\r\n\xff\r\n".to_vec(),
        b"*2\r\n$4\r\nPING\r\n$3\r\n\xff\x00\n\r\n".to_vec(),
        b"PING\r\n".repeat(1000),
    ];
    texts.chain(long).map(Step::Raw).collect()
}
