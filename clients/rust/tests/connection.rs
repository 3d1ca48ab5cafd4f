//! Connections that are silently dropped, and gateways that cannot be reached.

use std::{env, net::SocketAddr, process::Command, time::Duration};

use hfgateway_client::{Builder, Client, Kind, Tls, v1::Generation};
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

#[tokio::test]
async fn a_key_stays_off_plaintext() {
    let build = |address: &str| Client::builder(address).api_key("hfg_secret");
    for builder in [
        build("localhost:1"),
        build("127.8.9.1:1"),
        build("[::1]:1"),
        build("gateway.example:1").insecure(),
        build("gateway.example:1").tls(Tls::system()),
        build("gateway.example:1").api_key(""),
    ] {
        builder.build().unwrap();
    }
    for address in ["gateway.example:443", "localhost.example:443", "10.0.0.1:443", "[::2]:443", "u@gateway.example:1"] {
        let error = build(address).build().unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration);
        assert!(error.to_string().contains(address) && error.to_string().contains("`insecure`"), "{error}");
    }
}

#[tokio::test]
async fn the_environment_has_the_default_address_and_key() {
    if env::var_os("HFGATEWAY_TEST_CHILD").is_some() {
        Builder::default().build().unwrap().get("g1").await.unwrap();
        return;
    }
    let gateway = Gateway::start().await;
    gateway.answers(Generation::default());
    let mut child = Command::new(env::current_exe().unwrap());
    child.args(["--exact", "connection::the_environment_has_the_default_address_and_key"]);
    child.env("HFGATEWAY_TEST_CHILD", "1").env("HFGATEWAY_API_KEY", "hfg_environment");
    child.env("HFGATEWAY_ADDRESS", gateway.address().to_string());
    let done = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    assert!(done.status.success() && gateway.is_through(), "{done:?}");
    assert_eq!(gateway.state.headers.lock().unwrap()["authorization"], "Bearer hfg_environment");
}
