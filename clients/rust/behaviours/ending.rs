//! Canceling, deleting, explaining, estimating, and calls without a response.

use std::time::Duration;

use hfgateway_client::{Kind, RetryPolicy, Submit, v1::EstimateGenerationResponse};
use serde_json::json;

use crate::stage::{Stage, behaviours, fails, fox};

behaviours!(
    cancel_queued,
    cancel_pending,
    cancel_in_progress,
    cancel_ended,
    estimate,
    estimate_upstream_away,
    estimate_credentials_refused,
    delete,
    delete_not_done,
    explain,
    deadline,
);

async fn cancel_queued(stage: Stage) {
    let input = fox();
    let submission = stage.queued(input.clone()).await;
    for _ in 0..2 {
        let canceled = stage.client.cancel(submission.id()).await.expect("it is canceled");
        assert_eq!(canceled.state_name(), "CANCELED");
    }
    stage.charged(&input.prompt, 0, 1).await;
}

async fn cancel_pending(stage: Stage) {
    let input = fox();
    let fault = json!({"on": "submit", "status": 429, "body": {"detail": "full"}, "headers": {"Retry-After": "60"}});
    stage.plan(&input.prompt, fault).await;
    let submit = Submit::new(input.clone()).wait_timeout(Duration::from_millis(500));
    let submission = stage.client.submit(submit).await.expect("it is submitted");
    assert_eq!(submission.generation.state_name(), "PENDING");
    let canceled = stage.client.cancel(submission.id()).await.expect("it is canceled");
    assert_eq!(canceled.state_name(), "CANCELED");
    // A new gateway has no retry delay: it would send a pending generation at once.
    stage.restart().await;
    stage.charged(&input.prompt, 0, 1).await;
}

async fn cancel_in_progress(stage: Stage) {
    let generation = stage.running(fox()).await;
    let error = fails(stage.client.cancel(generation.id).await, Kind::NotCancelable, "NOT_CANCELABLE");
    assert_eq!(error.metadata()["state"], "IN_PROGRESS");
}

async fn cancel_ended(stage: Stage) {
    let generation = stage.completed(fox()).await;
    let error = fails(stage.client.cancel(generation.id).await, Kind::NotCancelable, "NOT_CANCELABLE");
    assert_eq!(error.metadata()["state"], "COMPLETED");
}

fn credits(response: EstimateGenerationResponse) -> f64 {
    response.cost.expect("a cost").credits.parse().expect("a number")
}

async fn estimate(stage: Stage) {
    let input = fox();
    let response = stage.client.estimate(input.clone()).await.expect("an estimate");
    assert!(credits(response) > 0.0);
    stage.charged(&input.prompt, 0, 0).await;
}

async fn estimate_upstream_away(stage: Stage) {
    let input = fox();
    stage.plan(&input.prompt, json!({"on": "estimate", "kind": "503", "times": 100})).await;
    let impatient = RetryPolicy { repeat_calls_for: Some(Duration::ZERO), ..Default::default() };
    let client = stage.another().api_key(stage.variable("API_KEY")).retry(impatient).build().expect("a client");
    let error = fails(client.estimate(input).await, Kind::UpstreamUnavailable, "UPSTREAM_UNAVAILABLE");
    assert!(error.retryable());
}

async fn estimate_credentials_refused(stage: Stage) {
    let input = fox();
    let body = json!({"detail": "Invalid credentials"});
    stage.plan(&input.prompt, json!({"on": "estimate", "status": 401, "body": body})).await;
    let response = stage.client.estimate(input).await;
    fails(response, Kind::UpstreamCredentialsRefused, "UPSTREAM_CREDENTIALS_REFUSED");
}

async fn delete(stage: Stage) {
    let input = fox();
    let generation = stage.completed(input.clone()).await;
    assert!(stage.client.delete(&generation.id).await.expect("it is deleted").removed_upstream);
    fails(stage.client.get(&generation.id).await, Kind::NotFound, "NOT_FOUND");
    let again = stage.client.submit(Submit::new(input.clone()).key(generation.idempotency_key)).await;
    fails(again, Kind::KeyReused, "IDEMPOTENCY_KEY_REUSED");
    stage.charged(&input.prompt, 1, 1).await;
}

async fn delete_not_done(stage: Stage) {
    let submission = stage.queued(fox()).await;
    fails(stage.client.delete(submission.id()).await, Kind::NotDone, "NOT_DONE");
}

async fn explain(stage: Stage) {
    let generation = stage.completed(fox()).await;
    let story = stage.client.explain(&generation.id).await.expect("its story");
    let calls = story.events.iter().filter_map(|event| event.upstream_call.as_ref());
    let posted: Vec<_> = calls.filter(|call| call.method == "POST").map(|call| call.http_status).collect();
    assert_eq!(posted, [200]);
    let revisions: Vec<_> = story.events.iter().map(|event| event.revision).filter(|revision| *revision > 0).collect();
    assert_eq!(revisions, (1..=generation.revision).collect::<Vec<_>>());
    assert_eq!(story.generation.expect("a generation").id, generation.id);
}

async fn deadline(stage: Stage) {
    let input = fox();
    stage.plan(&input.prompt, json!({"on": "estimate", "delay": 60})).await;
    let client = stage.client.with_timeout(Duration::from_millis(1500));
    fails(client.estimate(input).await, Kind::DeadlineExceeded, "");
    let later = stage.client.estimate(fox()).await; // over the same connection
    assert!(credits(later.expect("it can be used on")) > 0.0);
}
