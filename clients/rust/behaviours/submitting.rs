//! Submissions: charged once, even if they are repeated or their responses are lost.

use std::time::Duration;

use hfgateway_client::{
    Kind, Submit, model, soul,
    v1::{ApiVersion, ModelInput},
};
use serde_json::json;

use crate::stage::{Stage, behaviours, fails, fox, unique};

behaviours!(
    submit,
    submit_replay,
    submit_key_reused,
    submit_over_cut_connection,
    submit_endpoint,
    submit_invalid,
    submit_refused,
    submit_out_of_credits,
    submit_model_unknown,
    submit_model_unavailable,
    submit_saturated,
    submit_uncertain,
);

const A_MOMENT: Duration = Duration::from_millis(200);

async fn submit(stage: Stage) {
    let input = fox();
    let submission = stage.client.submit(input.clone()).await.expect("it is submitted");
    assert!(!submission.idempotency_key.is_empty());
    assert_eq!(submission.generation.idempotency_key, submission.idempotency_key);
    assert_eq!((submission.generation.state_name().as_ref(), submission.replayed), ("QUEUED", false));
    stage.charged(&input.prompt, 1, 1).await;
}

async fn submit_replay(stage: Stage) {
    let input = fox();
    let submit = Submit::new(input.clone()).key(unique("order").replace(' ', "-"));
    let first = stage.client.submit(submit.clone()).await.expect("it is submitted");
    let second = stage.client.submit(submit).await.expect("it is submitted again");
    assert_eq!((first.id(), first.replayed, second.replayed), (second.id(), false, true));
    stage.charged(&input.prompt, 1, 1).await;
}

async fn submit_key_reused(stage: Stage) {
    let other = soul(unique("a hare"));
    let key = stage.queued(fox()).await.idempotency_key;
    let again = stage.client.submit(Submit::new(other.clone()).key(&key)).await;
    assert_eq!(fails(again, Kind::KeyReused, "IDEMPOTENCY_KEY_REUSED").idempotency_key(), key);
    stage.charged(&other.prompt, 0, 0).await;
}

async fn submit_over_cut_connection(stage: Stage) {
    let input = fox();
    stage.plan(&input.prompt, json!({"on": "submit", "delay": 5})).await;
    let submitting = tokio::spawn({
        let (client, input) = (stage.client.clone(), input.clone());
        async move { client.submit(input).await }
    });
    stage.submitted(&input.prompt).await;
    stage.cut().await;
    let submission = submitting.await.expect("no panic").expect("it is submitted");
    assert!(submission.replayed);
    assert_eq!(submission.generation.state_name(), "QUEUED");
    stage.charged(&input.prompt, 1, 1).await;
}

async fn submit_endpoint(stage: Stage) {
    let prompt = unique("a fox");
    let parameters = [("prompt", json!(prompt)), ("count", json!(2))];
    let input = ModelInput { api_version: ApiVersion::V1.into(), ..model("v1/text2image/keyframes", parameters) };
    let generation = stage.client.submit(input).await.expect("it is submitted").generation;
    assert_eq!((generation.state_name().as_ref(), generation.outputs.len()), ("QUEUED", 2));
    stage.charged(&prompt, 1, 1).await;
}

async fn submit_invalid(stage: Stage) {
    let error = fails(stage.client.submit(soul("")).await, Kind::InvalidInput, "INVALID_INPUT");
    let fields: Vec<_> = error.field_violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["input.soul.prompt"]);
    assert!(!error.idempotency_key().is_empty());
}

async fn submit_refused(stage: Stage) {
    let (input, other) = (fox(), soul(unique("a hare")));
    let detail = json!([{"type": "value_error", "loc": ["body", "prompt"], "msg": "no foxes"}]);
    stage.plan(&input.prompt, json!({"on": "submit", "status": 422, "body": {"detail": detail}})).await;
    let error = fails(stage.client.submit(input.clone()).await, Kind::InputRefused, "INPUT_REFUSED");
    assert!(error.metadata().contains_key("generation_id"));
    let again = stage.client.submit(Submit::new(other.clone()).key(error.idempotency_key())).await;
    assert!(!again.expect("the key is free again").replayed);
    stage.charged(&input.prompt, 0, 1).await;
    stage.charged(&other.prompt, 1, 1).await;
}

async fn submit_out_of_credits(stage: Stage) {
    let input = fox();
    let body = json!({"detail": "not_enough_credits"});
    stage.plan(&input.prompt, json!({"on": "submit", "status": 403, "body": body})).await;
    fails(stage.client.submit(input.clone()).await, Kind::InsufficientCredits, "INSUFFICIENT_CREDITS");
    stage.charged(&input.prompt, 0, 1).await;
}

async fn submit_model_unknown(stage: Stage) {
    let input = fox();
    let body = json!({"detail": "model_not_found"});
    stage.plan(&input.prompt, json!({"on": "submit", "status": 404, "body": body})).await;
    fails(stage.client.submit(input.clone()).await, Kind::ModelUnknown, "MODEL_UNKNOWN");
    stage.charged(&input.prompt, 0, 1).await;
}

async fn submit_model_unavailable(stage: Stage) {
    let input = fox();
    let body = json!({"detail": "Model is temporarily blocked"});
    stage.plan(&input.prompt, json!({"on": "submit", "status": 423, "body": body})).await;
    fails(stage.client.submit(input.clone()).await, Kind::ModelUnavailable, "MODEL_UNAVAILABLE");
    stage.charged(&input.prompt, 0, 1).await;
}

async fn submit_saturated(stage: Stage) {
    let input = fox();
    let fault = json!({"on": "submit", "status": 429, "body": {"detail": "full"}, "headers": {"Retry-After": "60"}});
    stage.plan(&input.prompt, fault).await;
    let submitted = stage.client.submit(Submit::new(input.clone()).fail_when_saturated()).await;
    let error = fails(submitted, Kind::UpstreamSaturated, "UPSTREAM_SATURATED");
    assert!(error.retry_delay().is_some_and(|delay| !delay.is_zero()));
    assert!(error.retryable());
    stage.charged(&input.prompt, 0, 1).await;
    // The retry delay would hold up the next behaviours; a new gateway has none.
    stage.restart().await;
}

async fn submit_uncertain(stage: Stage) {
    let input = fox();
    stage.plan(&input.prompt, json!({"on": "submit", "kind": "lost"})).await;
    let submit = Submit::new(input.clone()).wait_timeout(A_MOMENT);
    let first = stage.client.submit(submit.clone()).await.expect("it is submitted");
    stage.until(first.id(), "UNCERTAIN").await;
    let again = stage.client.submit(submit.key(&first.idempotency_key)).await.expect("it is submitted again");
    assert_eq!((again.id(), again.generation.state_name().as_ref()), (first.id(), "UNCERTAIN"));
    let error = fails(stage.client.cancel(first.id()).await, Kind::NotCancelable, "NOT_CANCELABLE");
    assert_eq!(error.metadata()["state"], "UNCERTAIN");
    stage.charged(&input.prompt, 1, 1).await;
}
