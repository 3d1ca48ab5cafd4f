//! Connections that are silently dropped, and gateways that cannot be reached.

use std::{
    env, fs, io,
    net::SocketAddr,
    process::{self, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hfgateway_client::{
    Builder, Client, Code, Error, Kind, StreamExt, Submit, Tls, Transport, soul,
    v1::{Generation, WatchGenerationResponse},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::{mpsc, watch},
};
use tonic::{Request, Status, body::Body, codegen::http, service::interceptor::InterceptorLayer};
use tower::{Layer, Service, ServiceExt, layer::layer_fn, service_fn};

use crate::{
    gateway::{End, Gateway, Turn, status},
    timers::ManualTimers,
};

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
    for address in [
        "gateway.example:443",
        "localhost.example:443",
        "10.0.0.1:443",
        "[::2]:443",
        "u@gateway.example:1",
        "localhost:1@gateway.example",
    ] {
        let error = build(address).build().unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration);
        assert!(error.to_string().contains(address) && error.to_string().contains("`insecure`"), "{error}");
    }
}

#[tokio::test]
async fn a_file_without_a_certificate_is_no_authority() {
    let file = env::temp_dir().join(format!("hfgateway-no-certificate-{}.pem", process::id()));
    for text in ["", "no PEM"] {
        fs::write(&file, text).unwrap();
        let error = Client::builder("127.0.0.1:1").tls(Tls::authority(&file)).build().unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration);
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
    fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn only_a_host_and_a_port_are_an_address() {
    for address in ["localhost:1", "localhost", "[::1]:65535", "127.0.0.1:1"] {
        Client::builder(address).build().unwrap();
    }
    // tonic would connect to port 80, or to a host named http.
    for address in ["", "localhost:65536", "localhost:port", "localhost:", "http://localhost:1", "localhost:1/path"] {
        let error = Client::builder(address).build().map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidConfiguration, "{address}");
        assert!(error.to_string().contains(address), "{error}");
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

#[tokio::test]
async fn a_check_fails_at_once_with_cause_and_address() {
    let gateway = Gateway::start().await;
    let plain = gateway.address().to_string();
    let refused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    for (address, cause, tls) in [
        (refused.as_str(), "refused", None),
        ("nowhere.invalid:1", "lookup", None),
        (&plain, "InvalidContentType", Some(Tls::system())),
    ] {
        let builder = Client::builder(address).on_retry(|error, _| panic!("retried after {error}"));
        let builder = tls.into_iter().fold(builder, Builder::tls);
        let error = builder.build().unwrap().check().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        for part in [address, cause, error.message()] {
            assert_eq!(error.to_string().matches(part).count(), 1, "{error}");
        }
    }
    gateway.client(&ManualTimers::new(1.0)).check().await.unwrap();
}

#[tokio::test]
async fn retries_are_reported_and_the_last_error_too() {
    let gateway = Gateway::start().await;
    gateway.fails(status(Code::Unavailable, "GATEWAY_UNAVAILABLE", Some(0.5))).turn(Turn::Silence);
    let (reports, mut reported) = mpsc::unbounded_channel();
    let hook = move |error: &Error, delay| reports.send((error.reason().to_owned(), delay)).unwrap();
    let client = gateway.builder().timeout(Duration::from_secs(2)).on_retry(hook).build().unwrap();
    let error = client.get("g1").await.unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
    let address = gateway.address().to_string();
    assert!(error.to_string().contains(&address) && error.to_string().contains("before that: in words"), "{error}");
    assert_eq!(reported.recv().await.unwrap(), ("GATEWAY_UNAVAILABLE".to_owned(), Duration::from_millis(500)));
    assert!(reported.is_empty());
}

#[tokio::test]
async fn a_mistake_is_not_retried_before_the_gateway_has_responded() {
    let gateway = Gateway::start().await;
    let plain = gateway.address().to_string();
    for (address, tls) in [("nowhere.invalid:1", None), (&plain, Some(Tls::system()))] {
        let builder = Client::builder(address).on_retry(|error, _| panic!("retried after {error}"));
        let error = tls.into_iter().fold(builder, Builder::tls).build().unwrap().get("g1").await.unwrap_err();
        assert_eq!((error.kind(), error.retryable()), (Kind::Unavailable, false), "{error}");
    }
}

#[tokio::test]
async fn an_unknown_name_is_retried_once_the_gateway_has_responded_to_a_call_or_with_a_message_of_a_watch() {
    let lost = Arc::new(AtomicBool::new(false));
    let connected = |gateway: &Gateway| {
        let lost = lost.clone();
        let unknown = layer_fn(move |inner: Transport| {
            let lost = lost.clone();
            service_fn(move |request| {
                let (inner, lost) = (inner.clone(), lost.swap(false, Ordering::Relaxed));
                let unknown = || io::Error::other("failed to lookup address information: Name or service not known");
                async move { if lost { Err(Status::from_error(unknown().into())) } else { inner.oneshot(request).await } }
            })
        });
        gateway.builder().timers(ManualTimers::new(1.0)).layer(unknown).build().unwrap()
    };
    let gateway = Gateway::start().await;
    gateway.answers(Generation::default()).answers(Generation::default());
    let called = connected(&gateway);
    called.get("g1").await.unwrap();
    lost.store(true, Ordering::Relaxed);
    called.get("g1").await.unwrap();
    assert!(!lost.load(Ordering::Relaxed));
    let message = |revision, done| {
        let generation = Some(Generation { revision, done, ..Default::default() });
        WatchGenerationResponse { generation, forecast: None }
    };
    gateway.streams(vec![message(1, false)], End::Error(Status::unavailable("away")));
    gateway.streams(vec![message(2, true)], End::Ok);
    let mut changes = connected(&gateway).watch("g1");
    assert_eq!(changes.next().await.unwrap().unwrap().revision, 1);
    lost.store(true, Ordering::Relaxed);
    assert_eq!(changes.next().await.unwrap().unwrap().revision, 2);
    assert!(!lost.load(Ordering::Relaxed));
}

/// Counts the attempts of calls that pass a layer.
#[derive(Clone)]
struct Count(mpsc::UnboundedSender<String>);

impl<S> Layer<S> for Count {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, seen: self.0.clone() }
    }
}

#[derive(Clone)]
struct Counted<S> {
    inner: S,
    seen: mpsc::UnboundedSender<String>,
}

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        assert!(!request.headers().contains_key("authorization"));
        let trace = request.headers()["x-trace"].to_str().unwrap();
        self.seen.send(format!("{} {trace}", request.uri().path())).unwrap();
        self.inner.call(request)
    }
}

#[tokio::test]
async fn layers_and_interceptors_see_every_attempt() {
    let gateway = Gateway::start().await;
    gateway.fails(status(Code::Unavailable, "GATEWAY_UNAVAILABLE", Some(0.01))).answers(Generation::default());
    gateway.streams(vec![], End::Error(Status::unavailable("away")));
    let ended = Generation { revision: 1, done: true, ..Default::default() };
    gateway.streams(vec![WatchGenerationResponse { generation: Some(ended), forecast: None }], End::Ok);
    let (sender, mut seen) = mpsc::unbounded_channel();
    let attempts = Arc::new(AtomicU32::new(0));
    let trace = move |mut request: Request<()>| {
        let number = attempts.fetch_add(1, Ordering::Relaxed);
        request.metadata_mut().insert("x-trace", number.into());
        Ok(request)
    };
    let client = gateway
        .builder()
        .api_key("hfg_secret")
        .layer(Count(sender))
        .layer(InterceptorLayer::new(trace))
        .timers(ManualTimers::new(1.0))
        .build()
        .unwrap();
    client.get("g1").await.unwrap();
    assert!(client.watch("g1").next().await.unwrap().unwrap().done);
    for (number, method) in ["GetGeneration", "GetGeneration", "WatchGeneration", "WatchGeneration"].iter().enumerate()
    {
        let path = format!("/hfgateway.v1.GenerationService/{method} {number}");
        assert_eq!(seen.recv().await.unwrap(), path);
    }
    assert_eq!(gateway.state.headers.lock().unwrap()["authorization"], "Bearer hfg_secret");
}

#[tokio::test]
async fn an_interceptor_can_refuse_a_call() {
    let gateway = Gateway::start().await;
    let refuse = |_: Request<()>| Err::<Request<()>, _>(Status::permission_denied("not today"));
    let client = gateway.builder().layer(InterceptorLayer::new(refuse)).build().unwrap();
    let error = client.get("g1").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::NotAllowed, "not today"));
}

#[tokio::test]
async fn an_interceptor_that_refuses_the_watch_leaves_the_key_of_the_submission_in_the_error() {
    let gateway = Gateway::start().await;
    gateway.answers(Generation { id: "g1".to_owned(), revision: 1, ..Default::default() });
    let calls = Arc::new(AtomicU32::new(0));
    let once = move |request: Request<()>| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => Ok(request),
        _ => Err(Status::failed_precondition("the vault is sealed")),
    };
    let client = gateway.builder().layer(InterceptorLayer::new(once)).build().unwrap();
    let submission = Submit::new(soul("a fox")).key("order-7");
    let error = client.generate(submission, |_| {}).await.unwrap_err();
    assert_eq!((error.idempotency_key(), error.message()), ("order-7", "the vault is sealed"));
}

#[tokio::test]
async fn an_interceptor_can_provide_a_key_that_changes() {
    let gateway = Gateway::start().await;
    let numbers = Arc::new(AtomicU32::new(0));
    let key = move |mut request: Request<()>| {
        let value = format!("Bearer hfg_{}", numbers.fetch_add(1, Ordering::Relaxed));
        request.metadata_mut().insert("authorization", value.parse().unwrap());
        Ok(request)
    };
    let client = gateway.builder().layer(InterceptorLayer::new(key)).build().unwrap();
    for number in 0..2 {
        gateway.answers(Generation::default());
        client.get("g1").await.unwrap();
        assert_eq!(gateway.state.headers.lock().unwrap()["authorization"], format!("Bearer hfg_{number}"));
    }
}
