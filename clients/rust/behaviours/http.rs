//! A minimal HTTP client for the harness and for uploads: one request per connection.

use std::{collections::HashMap, fmt::Write};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends a request, and returns the status and the body of the response.
pub async fn send(method: &str, url: &str, headers: &HashMap<String, String>, body: &[u8]) -> (u16, Vec<u8>) {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("http://HOST/PATH");
    // HTTP/1.0: the response is not chunked, and ends with the connection.
    let mut head = format!("{method} /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
        write!(head, "{name}: {value}\r\n").expect("a String takes everything");
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(host).await.expect("a server");
    stream.write_all(head.as_bytes()).await.expect("the head is sent");
    stream.write_all(body).await.expect("the body is sent");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.expect("a response");
    let end = response.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&response[..end]);
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, response[end + 4..].to_vec())
}
