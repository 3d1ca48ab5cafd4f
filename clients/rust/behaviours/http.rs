//! As much HTTP as the harness and an upload need: one request on a connection of its own.

use std::{collections::HashMap, fmt::Write};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The answer's status and body.
pub async fn send(method: &str, url: &str, headers: &HashMap<String, String>, body: &[u8]) -> (u16, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("http://HOST/PATH");
    // 1.0: the answer comes in one piece and ends with the connection.
    let mut head = format!("{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
        write!(head, "{name}: {value}\r\n").expect("a String takes everything");
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(host).await.expect("a server");
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    stream.write_all(body).await.expect("the body is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, answer[end + 4..].to_vec())
}
