//! protos/vectors/errors.json: the properties of errors.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use hfgateway_client::{Code, Error, Kind, RetryPolicy, StreamExt, v1::WatchGenerationResponse};
use serde_json::{Value, json};
use tonic::{Status, TimeoutExpired, codegen::http, metadata::MetadataMap};

use crate::{
    cases,
    gateway::{End, Gateway},
    protojson, vectors,
};

/// Returns the name of the class: that of the kind, except for the base class.
fn class(error: &Error) -> String {
    match format!("{:?}", error.kind()).as_str() {
        "Other" => "GatewayError".to_owned(),
        name => name.to_owned(),
    }
}

fn class_of_code(error: &Error) -> String {
    match format!("{:?}", error.kind().broader()).as_str() {
        "Other" => "GatewayError".to_owned(),
        name => name.to_owned(),
    }
}

#[tokio::test]
async fn a_failed_call_has_all_details() {
    let gateway = Gateway::start().await;
    let once = RetryPolicy { repeat_calls_for: Some(Duration::ZERO), ..Default::default() };
    let client = gateway.builder().retry(once).build().unwrap();
    for case in cases(&vectors("errors.json"), "calls") {
        let name = &case["name"];
        let code = Code::from(case["code_number"].as_i64().unwrap() as i32);
        let details = BASE64_STANDARD.decode(case["details"].as_str().unwrap()).unwrap();
        gateway.fails(Status::with_details(code, case["message"].as_str().unwrap(), details.into()));
        let error = client.get("g1").await.unwrap_err();
        let violations: Vec<Value> = error
            .field_violations()
            .iter()
            .map(|one| json!({"field": one.field, "description": one.description}))
            .collect();
        let found = json!({
            "class": class(&error),
            "class_of_code": class_of_code(&error),
            "reason": error.reason(),
            "message": error.message(),
            "field_violations": violations,
            "retryable": error.retryable(),
            "retry_delay": error.retry_delay().map(|delay| delay.as_secs_f64()),
            "metadata": protojson::of_map(error.metadata()),
        });
        assert_eq!(protojson::normal(&found), protojson::normal(&case["expect"]), "{name}");
        assert_eq!(error.code(), Some(code), "{name}");
        assert_eq!(error.idempotency_key(), "", "{name}");
        assert!(std::error::Error::source(&error).is_some_and(|source| source.is::<Status>()), "{name}");
    }
    assert!(gateway.is_through());
}

#[tokio::test]
async fn details_that_cannot_be_decoded_are_left_out() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("grpc-status-details-bin", http::HeaderValue::from_static("%"));
    let status = Status::with_metadata(Code::InvalidArgument, "wrong", MetadataMap::from_headers(headers));
    gateway.fails(status.clone());
    let error = client.get("g1").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::InvalidInput, "wrong"));
    // Here the status is in trailers.
    gateway.streams(vec![WatchGenerationResponse::default()], End::Error(status));
    let error = client.watch("g1").next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::InvalidInput, "wrong"));
}

#[tokio::test]
async fn a_generation_without_output_is_the_error_of_its_state() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    for case in cases(&vectors("errors.json"), "generations") {
        let name = &case["name"];
        let ended = protojson::generation(&case["generation"]);
        gateway.answers(ended.clone());
        let error = client.generate(hfgateway_client::soul("a fox"), |_| {}).await.unwrap_err();
        let mut expected = case["expect"].clone();
        // There is a kind for each, so the name of the class is enough.
        expected.as_object_mut().unwrap().remove("kind").unwrap();
        let found = json!({
            "class": class(&error),
            "reason": error.reason(),
            "message": error.message(),
            "retryable": error.retryable(),
            "idempotency_key": error.idempotency_key(),
        });
        assert_eq!(found, expected, "{name}");
        assert_eq!((error.code(), error.generation()), (None, Some(&ended)), "{name}");
        assert_eq!(class_of_code(&error), "GenerationFailed", "{name}");
        assert!(error.to_string().contains(&format!("generation {}", ended.id)), "{error}");
    }
}

#[tokio::test]
async fn errors_have_readable_messages() {
    let gateway = Gateway::start().await;
    let client = gateway.builder().build().unwrap();
    let vectors = vectors("errors.json");
    let mut shown = Vec::new();
    for name in ["INVALID_INPUT", "INPUT_REFUSED"] {
        let case = cases(&vectors, "calls").into_iter().find(|case| case["name"] == name).unwrap();
        let details = BASE64_STANDARD.decode(case["details"].as_str().unwrap()).unwrap();
        gateway.fails(Status::with_details(Code::InvalidArgument, "", details.into()));
        shown.push(client.get("g1").await.unwrap_err().to_string());
    }
    gateway.fails(Status::not_found(""));
    shown.push(client.get("g1").await.unwrap_err().to_string());
    assert_eq!(
        shown,
        [
            "INVALID_INPUT: input.soul.seed: must be 1 to 1,000,000; labels: at most 32",
            // The message says what is wrong, but not which field.
            "INPUT_REFUSED: Higgsfield refused the input: Field required",
            "NOT_FOUND: not found",
        ]
    );
}

#[test]
fn the_timeout_of_tonic_is_deadline_exceeded() {
    let error = Error::from(Status::from_error(Box::new(TimeoutExpired(()))));
    assert_eq!((error.kind(), error.code()), (Kind::DeadlineExceeded, Some(Code::DeadlineExceeded)));
}
