//! Methods of several calls, and the metadata of every call.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use hfgateway_client::{
    Client, Kind, RetryPolicy, StreamExt, Submit, Tls, Upload,
    agents::v1alpha1::{GetSessionRequest, GetSessionResponse},
    soul,
    v1::{
        Forecast, Generation, GenerationFilter, GenerationState, ListGenerationsResponse, WaitFor,
        WatchGenerationRequest, WatchGenerationResponse, WatchGenerationsResponse,
    },
};

use tonic::{Status, body::Body, codegen::http};
use tower::{layer::layer_fn, service_fn};

use crate::{
    gateway::{End, Gateway, Seen, Turn, status},
    timers::ManualTimers,
};

/// Long enough for a call to arrive on a busy machine. Tests of a timeout wait this long.
const SHORT: Duration = Duration::from_secs(2);

fn once() -> RetryPolicy {
    RetryPolicy { repeat_calls_for: Some(Duration::ZERO), ..Default::default() }
}

fn at(state: GenerationState, revision: i32) -> Generation {
    let done = state == GenerationState::Completed;
    Generation { id: "g1".to_owned(), state: state.into(), revision, done, ..Default::default() }
}

fn change(state: GenerationState, revision: i32) -> WatchGenerationResponse {
    WatchGenerationResponse { generation: Some(at(state, revision)), forecast: None }
}

fn keys(seen: &[Seen]) -> Vec<&str> {
    let keys = seen.iter().map(|request| match request {
        Seen::Submit(request) => request.idempotency_key.as_str(),
        other => panic!("{other:?}"),
    });
    keys.collect()
}

/// A server holds one for each generation that it waits for, and they are moved and copied on its stack.
#[tokio::test]
async fn futures_and_streams_are_small() {
    let client = Client::builder("127.0.0.1:1").build().unwrap();
    let sizes = [
        size_of_val(&client.get("g1")),
        size_of_val(&client.submit(soul("x"))),
        size_of_val(&client.generate(soul("x"), |_| {})),
        size_of_val(&client.wait("g1", None)),
        size_of_val(&client.upload("image/png", Upload::bytes("x"))),
        size_of_val(&*client.watch("g1")),
        size_of_val(&*client.watch_many(GenerationFilter::default())),
    ];
    assert!(sizes.iter().all(|bytes| *bytes < 9_000), "{sizes:?}");
}

#[tokio::test]
async fn every_call_sends_key_user_agent_and_deadline() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().api_key("hfg_secret").build().unwrap();
    gateway.answers(Generation::default());
    client.get("g1").await.unwrap();
    let headers = gateway.state.headers.lock().unwrap().clone();
    assert_eq!(headers["authorization"], "Bearer hfg_secret");
    let agent = headers["user-agent"].to_str().unwrap();
    assert!(agent.starts_with(&format!("hfgateway-client-rust/{} ", env!("CARGO_PKG_VERSION"))), "{agent}");
    assert!(headers.contains_key("grpc-timeout"));

    gateway.streams(vec![change(GenerationState::Completed, 1)], End::Ok);
    assert!(client.watch("g1").next().await.unwrap().unwrap().done);
    let headers = gateway.state.headers.lock().unwrap().clone();
    assert_eq!(headers["authorization"], "Bearer hfg_secret");
    assert!(!headers.contains_key("grpc-timeout"));

    gateway.responds(GetSessionResponse::default());
    client.agents().get_session(GetSessionRequest { id: "s1".to_owned() }).await.unwrap();
    let headers = gateway.state.headers.lock().unwrap().clone();
    assert_eq!(headers["authorization"], "Bearer hfg_secret");
    assert!(gateway.seen().contains(&Seen::other("GetSession", &GetSessionRequest { id: "s1".to_owned() })));

    client.upload("image/png", Upload::bytes("x").timeout(Duration::from_secs(60))).await.unwrap();
    let headers = gateway.state.headers.lock().unwrap().clone();
    assert_eq!(headers["authorization"], "Bearer hfg_secret");
    assert!(headers.contains_key("grpc-timeout"));
}

#[tokio::test]
async fn the_key_is_never_printed() {
    let gateway = Gateway::start().await;
    let builder = gateway.builder().api_key("hfg_secret");
    let client = builder.clone().build().unwrap();
    let error = gateway.builder().api_key("hfg_secret\n").build().unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidConfiguration);
    for shown in [format!("{builder:?}"), format!("{client:?}"), format!("{:?}", client.agents()), format!("{error:?}")]
    {
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[tokio::test]
async fn an_invalid_configuration_is_an_error_of_build() {
    let missing = Client::builder("localhost:1").tls(Tls::authority("/no/such.pem")).build().unwrap_err();
    assert_eq!((missing.kind(), missing.code()), (Kind::InvalidConfiguration, None));
    assert!(missing.to_string().contains("/no/such.pem"), "{missing}");
    let no_key = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let keyless = Client::builder("localhost:1").tls(Tls::system().identity(no_key, no_key)).build().unwrap_err();
    assert!(keyless.to_string().contains("private key"), "{keyless}");
    let nowhere = Client::builder("no address").build().unwrap_err();
    assert_eq!(nowhere.kind(), Kind::InvalidConfiguration);
}

#[tokio::test]
async fn a_submit_without_a_key_gets_one_and_retries_with_it() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    for _ in 0..2 {
        gateway.fails(status(tonic::Code::Unavailable, "", None)).answers(Generation::default());
    }
    let first = client.submit(soul("a fox")).await.unwrap();
    let second = client.submit(soul("a fox")).await.unwrap();
    let seen = gateway.seen();
    let (first, second) = (first.idempotency_key.as_str(), second.idempotency_key.as_str());
    assert_eq!(keys(&seen), [first, first, second, second]);
    assert_ne!(first, second);
    assert_eq!(first.len(), 36);
}

#[tokio::test]
async fn a_submit_is_retried_with_the_same_key_after_a_cut() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.turn(Turn::Silence).answers(at(GenerationState::Queued, 2));
    let cuts = async {
        gateway.state.waiting.notified().await;
        gateway.cut();
    };
    let (submission, ()) = tokio::join!(client.submit(Submit::new(soul("a fox")).key("order-7")), cuts);
    let submission = submission.unwrap();
    assert_eq!(submission.id(), "g1");
    assert_eq!(submission.warnings[0].field, "input");
    assert_eq!(keys(&gateway.seen()), ["order-7", "order-7"]);
}

#[tokio::test]
async fn the_error_of_a_submit_has_its_key() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.fails(status(tonic::Code::InvalidArgument, "INVALID_INPUT", None));
    let error = client.submit(soul("")).await.unwrap_err();
    assert_eq!(keys(&gateway.seen()), [error.idempotency_key()]);
    assert_eq!(error.idempotency_key().len(), 36);
}

#[tokio::test]
async fn a_call_without_a_response_times_out_and_the_client_stays_usable() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().timeout(SHORT).build().unwrap();
    gateway.turn(Turn::Silence);
    let error = client.get("g1").await.unwrap_err();
    assert_eq!((error.kind(), error.reason()), (Kind::DeadlineExceeded, ""));
    assert_eq!(gateway.seen().len(), 1);
    gateway.answers(at(GenerationState::Queued, 2));
    let client = client.with_timeout(Duration::from_secs(30));
    assert_eq!(client.get("g1").await.unwrap().revision, 2);
}

#[tokio::test]
async fn a_timeout_can_be_longer_than_grpc_can_say() {
    let gateway = Gateway::start().await;
    for timeout in [Duration::from_secs(100_000_000 * 3600), Duration::from_millis(u64::MAX), Duration::MAX] {
        gateway.answers(at(GenerationState::Queued, 2)).answers(at(GenerationState::Completed, 3));
        let client = gateway.builder().timeout(timeout).build().unwrap();
        client.submit(Submit::new(soul("a fox")).wait_timeout(timeout)).await.unwrap();
        assert!(client.wait("g1", timeout).await.unwrap().done);
        client.upload("image/png", Upload::bytes("x").timeout(timeout)).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_ended_by_the_gateway_at_the_deadline_is_not_retried() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.turn(Turn::Error(status(tonic::Code::Cancelled, "", None), 30.0));
    assert_eq!(client.get("g1").await.unwrap_err().kind(), Kind::DeadlineExceeded);
    assert_eq!(gateway.seen().len(), 1);
}

#[tokio::test]
async fn an_unreachable_gateway_is_unavailable() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().retry(once()).build().unwrap();
    drop(gateway);
    let error = client.get("g1").await.unwrap_err();
    assert_eq!((error.kind(), error.reason(), error.retryable()), (Kind::Unavailable, "", true));
}

#[tokio::test]
async fn generate_submits_once_and_reports_every_change() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.answers(at(GenerationState::Pending, 1));
    gateway.streams(vec![change(GenerationState::Queued, 2)], End::Error(status(tonic::Code::Unavailable, "", None)));
    gateway.streams(vec![change(GenerationState::Completed, 3)], End::Ok);
    let mut seen = Vec::new();
    let submit = Submit::new(soul("a fox")).key("order-7").wait_for(WaitFor::Done);
    let generation = client.generate(submit, |one| seen.push(one.revision)).await.unwrap();
    assert_eq!((generation.revision, seen), (3, vec![1, 2, 3]));
    let requests = gateway.seen();
    let Seen::Submit(submitted) = &requests[0] else { panic!("{requests:?}") };
    assert_eq!(submitted.wait_for(), WaitFor::Stored);
    let opened: Vec<_> = requests[1..]
        .iter()
        .map(|request| match request {
            Seen::Watch(request) => request.after_revision,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(opened, [1, 2]);
}

#[tokio::test]
async fn generate_reports_the_warnings_of_its_submission() {
    let gateway = Gateway::start().await;
    let fields = Arc::new(Mutex::new(Vec::new()));
    let client = gateway.builder().on_warning({
        let fields = fields.clone();
        move |warning| fields.lock().unwrap().push(warning.field.clone())
    });
    gateway.answers(at(GenerationState::Completed, 3));
    client.build().unwrap().generate(soul("a fox"), |_| {}).await.unwrap();
    assert_eq!(*fields.lock().unwrap(), ["input"]);
}

#[tokio::test]
async fn generate_ignores_the_wait_timeout() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.answers(at(GenerationState::Completed, 2));
    let submit = Submit::new(soul("a fox")).timeout(Duration::from_secs(20)).wait_timeout(Duration::from_secs(600));
    client.generate(submit, |_| {}).await.unwrap();
    let seen = gateway.seen();
    let [Seen::Submit(request)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(request.wait_timeout, None);
    let remaining = gateway.state.headers.lock().unwrap()["grpc-timeout"].clone();
    assert_eq!(remaining, "20000000u");
}

#[tokio::test]
async fn the_submission_of_generate_has_the_timeout_of_the_client() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.answers(at(GenerationState::Completed, 2));
    client.generate(Submit::new(soul("a fox")).timeout(Duration::from_secs(3600)), |_| {}).await.unwrap();
    assert_eq!(gateway.state.headers.lock().unwrap()["grpc-timeout"], "30000000u");
}

#[tokio::test]
async fn generate_times_out_and_its_error_has_the_key() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    gateway.answers(at(GenerationState::Queued, 2)).streams(vec![], End::Open);
    let submit = Submit::new(soul("a fox")).key("order-7").timeout(SHORT);
    let error = client.generate(submit, |_| {}).await.unwrap_err();
    assert_eq!((error.kind(), error.idempotency_key()), (Kind::DeadlineExceeded, "order-7"));
    assert!(error.to_string().contains(&gateway.address().to_string()), "{error}");
    gateway.state.left.notified().await;
}

#[tokio::test]
async fn generate_fails_at_once_if_the_watch_cannot_resume_before_its_timeout() {
    let gateway = Gateway::start().await;
    let timers = ManualTimers::new(1.0);
    let client = gateway.client(&timers);
    gateway.answers(at(GenerationState::Queued, 2));
    gateway.streams(vec![], End::Error(status(tonic::Code::Unavailable, "GATEWAY_UNAVAILABLE", Some(40.0))));
    let submit = Submit::new(soul("a fox")).key("order-7").timeout(Duration::from_secs(30));
    let error = client.generate(submit, |_| {}).await.unwrap_err();
    assert_eq!((error.reason(), error.idempotency_key()), ("GATEWAY_UNAVAILABLE", "order-7"));
    assert_eq!(timers.slept(), [0.0; 0]);
}

#[tokio::test]
async fn the_error_of_a_broken_generate_has_the_key() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.answers(at(GenerationState::Queued, 2));
    gateway.streams(vec![], End::Error(status(tonic::Code::NotFound, "NOT_FOUND", None)));
    let error = client.generate(Submit::new(soul("a fox")).key("order-7"), |_| {}).await.unwrap_err();
    assert_eq!((error.kind(), error.idempotency_key()), (Kind::NotFound, "order-7"));
}

#[tokio::test]
async fn a_watch_that_ends_too_early_is_resumed() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.answers(at(GenerationState::Pending, 1)).streams(vec![], End::Ok);
    gateway.streams(vec![change(GenerationState::Queued, 2)], End::Ok);
    gateway.streams(vec![change(GenerationState::Completed, 3)], End::Ok);
    assert_eq!(client.generate(Submit::new(soul("a fox")), |_| {}).await.unwrap().revision, 3);
}

#[tokio::test]
async fn only_a_watch_of_given_ids_ends_with_its_stream() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    let caught_up = || WatchGenerationsResponse { caught_up: true, ..Default::default() };
    gateway.streams_of_many(vec![caught_up()], End::Ok);
    let filter = GenerationFilter { ids: vec!["g1".to_owned()], ..Default::default() };
    assert_eq!(client.watch_many(filter).collect::<Vec<_>>().await.len(), 1);

    gateway.streams_of_many(vec![caught_up()], End::Ok);
    gateway.streams_of_many(vec![], End::Error(status(tonic::Code::NotFound, "NOT_FOUND", None)));
    let seen: Vec<_> = client.watch_many(GenerationFilter::default()).collect().await;
    assert_eq!(seen.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn a_dropped_watch_ends_at_the_gateway() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    gateway.streams(vec![change(GenerationState::Queued, 2)], End::Open);
    let mut watch = client.watch("g1");
    assert_eq!(watch.next().await.unwrap().unwrap().revision, 2);
    drop(watch);
    gateway.state.left.notified().await;
}

#[tokio::test]
async fn a_watch_resumes_after_a_cut() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.streams(vec![change(GenerationState::Queued, 2)], End::Open);
    gateway.streams(vec![change(GenerationState::Completed, 3)], End::Ok);
    let mut watch = client.watch("g1");
    assert_eq!(watch.next().await.unwrap().unwrap().revision, 2);
    gateway.cut();
    assert_eq!(watch.next().await.unwrap().unwrap().revision, 3);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn pages_are_fetched_on_demand() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    for (revision, token) in [(1, "a"), (2, "")] {
        gateway.state.pages.lock().unwrap().push_back(ListGenerationsResponse {
            generations: vec![at(GenerationState::Queued, revision)],
            next_page_token: token.to_owned(),
        });
    }
    let mut list = client.list(GenerationFilter::default());
    assert_eq!(gateway.seen().len(), 0);
    assert_eq!(list.next().await.unwrap().unwrap().revision, 1);
    assert_eq!(gateway.seen().len(), 1);
    assert_eq!(list.next().await.unwrap().unwrap().revision, 2);
    assert!(list.next().await.is_none());
    let seen = gateway.seen();
    let Seen::List(last) = &seen[1] else { panic!("{seen:?}") };
    assert_eq!((seen.len(), last.page_token.as_str()), (2, "a"));
}

#[tokio::test]
async fn a_list_ends_after_an_error() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().retry(once()).build().unwrap();
    drop(gateway);
    let mut list = client.list(GenerationFilter::default());
    assert_eq!(list.next().await.unwrap().unwrap_err().kind(), Kind::Unavailable);
    assert!(list.next().await.is_none());
}

#[tokio::test]
async fn a_closed_client_sends_nothing() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().layer(layer_fn(|_| service_fn(unreachable))).build().unwrap();
    client.close();
    for _ in 0..64 {
        assert_eq!(client.get("g1").await.unwrap_err().kind(), Kind::ClientClosed);
        assert_eq!(client.watch("g1").next().await.unwrap().unwrap_err().kind(), Kind::ClientClosed);
    }
}

async fn unreachable(request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
    panic!("sent {}", request.uri())
}

#[tokio::test]
async fn a_wait_is_repeated_in_steps_until_done() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.answers(at(GenerationState::Queued, 2)).answers(at(GenerationState::Queued, 2));
    gateway.answers(at(GenerationState::Completed, 3));
    assert!(client.wait("g1", None).await.unwrap().done);
    assert_eq!(steps(&gateway), [50.0, 50.0, 50.0]);
}

#[tokio::test]
async fn a_wait_returns_the_generation_at_its_timeout() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.answers(at(GenerationState::Queued, 2)).answers(at(GenerationState::InProgress, 3));
    let generation = client.wait("g1", Duration::from_secs(70)).await.unwrap();
    assert_eq!((generation.done, generation.revision), (false, 3));
    assert_eq!(steps(&gateway), [50.0, 20.0]);
}

#[tokio::test]
async fn a_wait_asks_for_the_time_left_after_a_lost_connection() {
    for (timeout, outage, asked) in [
        (Some(Duration::from_secs(20)), 15.0, [20.0, 4.8]),
        (None, 60.0, [50.0, 0.0]), // the outage is longer than a step
    ] {
        let gateway = Gateway::start().await;
        let client = gateway.client(&ManualTimers::new(1.0));
        gateway.turn(Turn::Error(status(tonic::Code::Unavailable, "", None), outage));
        gateway.answers(at(GenerationState::Completed, 3));
        client.wait("g1", timeout).await.unwrap();
        assert_eq!(steps(&gateway), asked);
    }
}

fn steps(gateway: &Gateway) -> Vec<f64> {
    let step = |request: Seen| match request {
        Seen::Wait(request) => Duration::try_from(request.timeout.unwrap()).unwrap().as_secs_f64(),
        other => panic!("{other:?}"),
    };
    gateway.seen().into_iter().map(step).collect()
}

/// If this compiles, every future can be spawned.
#[allow(dead_code)]
fn all_futures_can_be_spawned(client: &'static Client) {
    fn spawned(future: impl Future + Send + 'static) {
        drop(future);
    }
    spawned(client.submit(soul("a fox")));
    spawned(client.generate(soul("a fox"), |_| {}));
    spawned(client.get("g1"));
    spawned(client.wait("g1", None));
    spawned(client.upload("image/png", Upload::bytes("")));
    spawned(async { client.watch("g1").next().await.is_some() });
    spawned(async { client.watch_many(GenerationFilter::default()).next().await.is_some() });
}

#[tokio::test]
async fn forecasts_are_progress() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    let forecast = |progress| Some(Forecast { progress, ..Default::default() });
    let only = |progress| WatchGenerationResponse { generation: None, forecast: forecast(progress) };
    let running = Generation { forecast: forecast(0.2), ..at(GenerationState::InProgress, 2) };
    let changed = WatchGenerationResponse { generation: Some(running), forecast: None };
    let progress = |seen: &Generation| (seen.revision, seen.forecast.unwrap_or_default().progress);
    let mut intervals = Vec::new();
    for submit in [
        Submit::new(soul("a fox")),
        Submit::new(soul("a fox")).forecast_interval(Duration::from_secs(5)),
        Submit::new(soul("a fox")).forecast_interval(Duration::ZERO),
    ] {
        gateway.answers(at(GenerationState::Queued, 1));
        let end = change(GenerationState::Completed, 3);
        gateway.streams(vec![only(0.1), changed.clone(), only(0.3), end], End::Ok);
        let mut seen = Vec::new();
        client.generate(submit, |generation| seen.push(progress(generation))).await.unwrap();
        if intervals.len() == 2 {
            assert_eq!(seen, [(1, 0.0), (2, 0.2), (3, 0.0)]);
        } else {
            assert_eq!(seen, [(1, 0.0), (1, 0.1), (2, 0.2), (2, 0.3), (3, 0.0)]);
        }
        if let Some(Seen::Watch(request)) = gateway.seen().last() {
            intervals.push(request.forecast_interval.map(|interval| interval.seconds));
        }
    }
    assert_eq!(intervals, [Some(2), Some(5), None]);
    // A forecast before the first change belongs to nothing.
    gateway.streams(vec![only(0.1), changed, only(0.3), change(GenerationState::Completed, 3)], End::Ok);
    let forecast_interval = Some(prost_types::Duration { seconds: 1, nanos: 0 });
    let request = WatchGenerationRequest { forecast_interval, .."g1".into() };
    let seen: Vec<_> = client.watch(request).map(|change| progress(&change.unwrap())).collect().await;
    assert_eq!(seen, [(2, 0.2), (2, 0.3), (3, 0.0)]);
}
