//! protos/vectors/retries.json: which errors are retried, and after which delays.

use std::time::Duration;

use hfgateway_client::{Code, Error, Kind, RetryPolicy, StreamExt, v1::Generation};
use serde_json::Value;
use tonic::Status;

use crate::{
    cases,
    gateway::{End, Gateway, Turn, status, status_after},
    timers::ManualTimers,
    vectors,
};

fn code(name: &Value) -> Code {
    let named = |code: &Code| code_name(*code) == name.as_str().unwrap();
    (0..17).map(Code::from).find(named).expect("a code")
}

fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn error_of(value: &Value, scale: f64) -> Status {
    let retry_delay = value["retry_delay"].as_f64().map(|seconds| seconds * scale);
    status(code(&value["code"]), value["reason"].as_str().unwrap(), retry_delay)
}

/// Converts seconds to whole microseconds.
fn rounded(seconds: &[f64]) -> Vec<u64> {
    seconds.iter().map(|time| (time * 1e6).round() as u64).collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn the_defaults() {
    let defaults = &vectors("retries.json")["defaults"];
    let policy = RetryPolicy::default();
    assert_eq!(policy.first_delay.as_secs_f64(), defaults["first_delay"].as_f64().unwrap());
    assert_eq!(policy.max_delay.as_secs_f64(), defaults["max_delay"].as_f64().unwrap());
    assert_eq!(policy.resume_watches_for.as_secs_f64(), defaults["resume_watches_for"].as_f64().unwrap());
    assert_eq!(policy.repeat_calls_for, None);
}

#[test]
fn delays() {
    for case in cases(&vectors("retries.json"), "delays") {
        let failures = case["failures"].as_u64().unwrap() as u32;
        let asked = case["retry_delay"].as_f64().map(Duration::from_secs_f64);
        let delay = RetryPolicy::default().delay(failures, asked, case["chance"].as_f64().unwrap());
        assert_eq!(rounded(&[delay.as_secs_f64()]), rounded(&[case["delay"].as_f64().unwrap()]), "{case}");
    }
    let slow = RetryPolicy { first_delay: Duration::MAX, ..Default::default() };
    assert_eq!(slow.delay(2, None, 1.0), slow.max_delay);
}

#[tokio::test]
async fn which_errors_are_retried() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    for case in cases(&vectors("retries.json"), "repeats") {
        let before = gateway.seen().len();
        gateway.fails(status(code(&case["code"]), case["reason"].as_str().unwrap(), None));
        let repeated = case["repeated"].as_bool().unwrap();
        if repeated {
            gateway.answers(Generation::default());
        }
        assert_eq!(client.get("g1").await.is_ok(), repeated, "{case}");
        assert_eq!(gateway.seen().len() - before, if repeated { 2 } else { 1 }, "{case}");
    }
}

#[tokio::test]
async fn a_call() {
    // The remaining time of an attempt also limits it in real time, so all times are scaled up.
    const SCALE: f64 = 60.0;
    let defaults = RetryPolicy::default();
    let policy = RetryPolicy {
        first_delay: defaults.first_delay.mul_f64(SCALE),
        max_delay: defaults.max_delay.mul_f64(SCALE),
        ..defaults
    };
    for case in cases(&vectors("retries.json"), "calls") {
        let name = &case["name"];
        let gateway = Gateway::start().await;
        let timers = ManualTimers::new(case["chance"].as_f64().unwrap());
        let client = gateway.client_with(&timers, policy.clone());
        let client = client.with_timeout(Duration::from_secs_f64(case["timeout"].as_f64().unwrap() * SCALE));
        let attempts = case["attempts"].as_array().unwrap();
        let returned = case["expect"]["error"].as_u64().map_or(attempts.len() - 1, |index| index as usize);
        for attempt in attempts {
            match attempt.get("error") {
                None => gateway.answers(Generation { id: "g1".to_owned(), ..Default::default() }),
                Some(error) => {
                    gateway.turn(Turn::Error(error_of(error, SCALE), attempt["takes"].as_f64().unwrap() * SCALE))
                }
            };
        }
        let outcome = client.get("g1").await;
        assert!(gateway.is_through(), "{name}: not all attempts were made");
        ends_as(
            &case,
            outcome.map(|generation| assert_eq!(generation.id, "g1")),
            "response",
            attempts[returned].get("error"),
        );
        let slept: Vec<f64> = timers.slept().iter().map(|time| time / SCALE).collect();
        assert_eq!(rounded(&slept), rounded(&floats(&case["expect"]["slept"])), "{name}");
    }
}

#[tokio::test]
async fn a_watch() {
    for case in cases(&vectors("retries.json"), "watches") {
        let name = &case["name"];
        let gateway = Gateway::start().await;
        let timers = ManualTimers::new(case["chance"].as_f64().unwrap());
        let client = gateway.client(&timers);
        let mut revision = 0;
        let mut last = None;
        for stream in case["streams"].as_array().unwrap() {
            let messages = stream["messages"].as_array().unwrap().iter().map(|message| {
                let changes = message != "heartbeat";
                revision += i32::from(changes);
                let generation = Generation { revision, done: message == "done", ..Default::default() };
                hfgateway_client::v1::WatchGenerationResponse {
                    generation: changes.then_some(generation),
                    forecast: None,
                }
            });
            let messages = messages.collect();
            let end = match &stream["error"] {
                Value::Null => End::Ok,
                error => {
                    last = Some(error);
                    End::Error(error_of(error, 1.0))
                }
            };
            gateway.streams(messages, end);
        }
        let mut watch = client.watch("g1");
        let mut seen = 0;
        let mut outcome = Ok(());
        while let Some(change) = watch.next().await {
            match change {
                Ok(change) => {
                    seen += 1;
                    assert_eq!(change.revision, seen, "{name}");
                }
                Err(error) => outcome = Err(error),
            }
        }
        assert!(gateway.is_through(), "{name}: not all streams were opened");
        assert_eq!(seen, revision, "{name}");
        ends_as(&case, outcome, "end", last);
        assert_eq!(rounded(&timers.slept()), rounded(&floats(&case["expect"]["slept"])), "{name}");
    }
}

#[tokio::test]
async fn a_watch_without_a_limit_resumes() {
    let gateway = Gateway::start().await;
    let policy = RetryPolicy { resume_watches_for: Duration::MAX, ..Default::default() };
    let client = gateway.client_with(&ManualTimers::new(1.0), policy);
    gateway.streams(vec![], End::Error(status(Code::Unavailable, "", None)));
    gateway.streams(vec![], End::Error(status(Code::NotFound, "NOT_FOUND", None)));
    assert_eq!(client.watch("g1").next().await.unwrap().unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn an_impossible_retry_delay_is_not_waited_for() {
    for (seconds, slept) in [(-1, vec![0.2]), (i64::MAX, vec![])] {
        let gateway = Gateway::start().await;
        let timers = ManualTimers::new(1.0);
        let client = gateway.client(&timers);
        let retry_delay = Some(prost_types::Duration { seconds, nanos: 0 });
        gateway
            .fails(status_after(Code::Unavailable, "GATEWAY_UNAVAILABLE", retry_delay))
            .answers(Generation::default());
        assert_eq!(client.get("g1").await.is_ok(), seconds < 0);
        assert_eq!(timers.slept(), slept);
    }
}

#[tokio::test]
async fn a_timeout_of_a_watch_names_no_failure_from_which_it_has_recovered() {
    for recovered in [false, true] {
        let gateway = Gateway::start().await;
        let client = gateway.client(&ManualTimers::new(1.0));
        gateway.streams(vec![], End::Error(status(Code::Unavailable, "GATEWAY_UNAVAILABLE", None)));
        let messages = if recovered { vec![Default::default()] } else { vec![] };
        gateway.streams(messages, End::Error(Status::deadline_exceeded("late")));
        let error = client.watch("g1").next().await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.message().contains("before that")), (Kind::DeadlineExceeded, !recovered));
    }
}

fn ends_as(case: &Value, outcome: Result<(), Error>, well: &str, last: Option<&Value>) {
    match (case["expect"]["outcome"].as_str().unwrap(), outcome) {
        (expected, Ok(())) => assert_eq!(expected, well, "{}", case["name"]),
        ("error", Err(error)) => {
            let last = last.expect("an error");
            assert_eq!(error.code(), Some(code(&last["code"])), "{}", case["name"]);
            assert_eq!(error.reason(), last["reason"].as_str().unwrap(), "{}", case["name"]);
            assert_ne!(error.kind(), Kind::DeadlineExceeded, "{}", case["name"]);
        }
        (expected, Err(error)) => panic!("{}: {error} instead of {expected}", case["name"]),
    }
}
