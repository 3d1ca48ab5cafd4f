//! Connections that are silently dropped, and gateways that cannot be reached.

use std::{net::SocketAddr, time::Duration};

use hfgateway_client::{Client, v1::Generation};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
};

use crate::gateway::Gateway;

/// Forwards connections. `dead` counts how often all existing ones were swallowed.
async fn proxy(target: SocketAddr, dead: watch::Receiver<u32>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(target).await.unwrap();
            let born = *dead.borrow();
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(forward(from_near, to_far, born, dead.clone()));
            tokio::spawn(forward(from_far, to_near, born, dead.clone()));
        }
    });
    address
}

/// Copies data until the connection is swallowed, and then reads it without passing it on.
async fn forward(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, born: u32, dead: watch::Receiver<u32>) {
    let mut buffer = [0; 4096];
    while let Ok(size) = from.read(&mut buffer).await {
        if size == 0 {
            return;
        }
        if *dead.borrow() == born && to.write_all(&buffer[..size]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_call_on_a_dead_connection_is_retried() {
    let gateway = Gateway::start().await;
    let (swallow, dead) = watch::channel(0);
    let address = proxy(gateway.address(), dead).await;
    let soon = Duration::from_millis(300);
    let client = Client::builder(address.to_string())
        .configure(move |endpoint| endpoint.http2_keep_alive_interval(soon).keep_alive_timeout(soon))
        .build()
        .unwrap();
    for _ in 0..2 {
        gateway.answers(Generation::default());
        client.get("g1").await.unwrap();
        swallow.send_modify(|times| *times += 1);
    }
    assert!(gateway.is_through());
}
