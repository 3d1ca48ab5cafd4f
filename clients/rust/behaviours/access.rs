//! Authentication, tenants and TLS.

use std::time::Duration;

use hfgateway_client::{
    Builder, Client, Kind, RetryPolicy, Submit, Tls,
    v1::{CreateWatchTokenRequest, GenerationFilter},
};
use uuid::Uuid;

use crate::stage::{Stage, behaviours, fails, fox, rest};

behaviours!(no_key, wrong_key, other_tenant, tls, watch_token);

async fn no_key(stage: Stage) {
    refused(&stage, stage.another()).await;
}

async fn wrong_key(stage: Stage) {
    refused(&stage, stage.another().api_key(format!("hfg_{}", Uuid::new_v4().simple()))).await;
}

async fn refused(stage: &Stage, stranger: Builder) {
    let submission = stage.queued(fox()).await;
    let stranger = stranger.build().expect("a client");
    fails(stranger.get(submission.id()).await, Kind::InvalidCredentials, "INVALID_CREDENTIALS");
}

async fn other_tenant(stage: Stage) {
    let input = fox();
    let submit = Submit::new(input.clone()).key(Uuid::new_v4());
    let first = stage.client.submit(submit.clone()).await.expect("it is submitted");
    let other = stage.another().api_key(stage.variable("OTHER_API_KEY")).build().expect("a client");
    fails(other.get(first.id()).await, Kind::NotFound, "NOT_FOUND");
    let second = other.submit(submit).await.expect("it is submitted");
    assert!(!second.replayed);
    assert_ne!(second.id(), first.id());
    stage.charged(&input.prompt, 2, 2).await;
}

async fn tls(stage: Stage) {
    let input = fox();
    let secured = || Client::builder(stage.variable("TLS_ADDRESS")).api_key(stage.variable("API_KEY"));
    let client = secured().tls(Tls::authority(stage.variable("TLS_CA"))).build().expect("a client");
    let submission = client.submit(input.clone()).await.expect("it is submitted");
    assert_eq!(submission.generation.state_name(), "QUEUED");
    stage.charged(&input.prompt, 1, 1).await;
    let impatient = RetryPolicy { repeat_calls_for: Some(Duration::ZERO), ..Default::default() };
    let stranger = secured().tls(Tls::system()).retry(impatient).build().expect("a client");
    fails(stranger.submit(fox()).await, Kind::Unavailable, "");
}

async fn watch_token(stage: Stage) {
    let submission = stage.queued(fox()).await;
    let other = stage.queued(fox()).await;
    let filter = GenerationFilter { ids: vec![submission.id().to_owned()], ..Default::default() };
    let request = CreateWatchTokenRequest {
        ttl: Some(hfgateway_client::prost_types::Duration { seconds: 60, nanos: 0 }),
        ..filter.into()
    };
    let token = stage.client.create_watch_token(request).await.expect("a token").token;
    assert!(token.starts_with("hfw_"));
    let browser = stage.another().api_key(token).build().expect("a client");
    let mut seen = Vec::new();
    let mut watch = browser.watch(submission.id());
    let watches = rest(&mut watch, &mut seen);
    let tries = async {
        fails(browser.get(other.id()).await, Kind::NotFound, "NOT_FOUND");
        fails(browser.submit(fox()).await, Kind::NotAllowed, "NOT_ALLOWED");
        stage.advance(60.0).await;
    };
    tokio::join!(watches, tries);
    assert_eq!(seen.last().expect("a change").state_name(), "COMPLETED");
}
