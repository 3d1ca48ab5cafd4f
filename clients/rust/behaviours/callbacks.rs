//! Callbacks and their deliveries.

use std::{collections::HashMap, net::TcpListener};

use hfgateway_client::{
    CreatedCallback, Kind, StreamExt,
    v1::{
        CreateCallbackRequest, DeliveryProblem, DeliveryState, GenerationFilter, ListCallbacksRequest,
        UpdateCallbackRequest,
    },
};
use serde_json::json;
use uuid::Uuid;

use crate::stage::{Stage, all, behaviours, distinct, fails, unique};

behaviours!(
    create_callback,
    lost_callback_secret,
    get_callback,
    list_callbacks,
    update_callback,
    delete_callback,
    rotate_callback_secret,
    test_callback,
    list_deliveries,
    redeliver_delivery,
);

/// Returns a callback for a label that no generation has, to an address on which nothing listens.
fn request() -> CreateCallbackRequest {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let labels = HashMap::from([("run".to_owned(), unique("nothing"))]);
    CreateCallbackRequest {
        filter: Some(GenerationFilter { labels, ..Default::default() }),
        idempotency_key: Uuid::new_v4().to_string(),
        ..format!("http://{}/hook", socket.local_addr().expect("an address")).into()
    }
}

async fn created(stage: &Stage) -> CreatedCallback {
    stage.client.create_callback(request()).await.expect("it is created")
}

/// Deletes the callback, because a tenant may have only a few.
async fn drop(stage: &Stage, callback: &CreatedCallback) {
    stage.client.delete_callback(callback.id()).await.expect("it is deleted");
}

async fn create_callback(stage: Stage) {
    let request = request();
    let first = stage.client.create_callback(request.clone()).await.expect("it is created");
    assert!(!first.id().is_empty() && !first.replayed && first.secret.starts_with("whsec_"), "{first:?}");
    let second = stage.client.create_callback(request).await.expect("it is created again");
    assert_eq!((second.id(), second.replayed, second.secret.as_str()), (first.id(), true, ""));
    drop(&stage, &first).await;
}

async fn lost_callback_secret(stage: Stage) {
    stage.client.check().await.expect("there is a connection to lose");
    let url = format!("{}/receive?{}", stage.variable("CONTROL"), Uuid::new_v4());
    assert_ne!(stage.control("lose", json!({"callback_url": url})).await["connections"], 0);
    let request = CreateCallbackRequest { idempotency_key: String::new(), url, ..request() };
    let made = stage.client.create_callback(request).await.expect("it is created");
    assert!(made.replayed && made.secret.starts_with("whsec_"), "{made:?}");
    let delivery = stage.client.test_callback(made.id()).await.expect("it is delivered");
    assert_eq!(delivery.state(), DeliveryState::Delivered);
    assert_eq!(stage.control("verify", json!({"secret": made.secret})).await, json!({"valid": true}));
    drop(&stage, &made).await;
}

async fn get_callback(stage: Stage) {
    let made = created(&stage).await;
    assert_eq!(stage.client.get_callback(made.id()).await.expect("it is found"), made.callback);
    let other = stage.another().api_key(stage.variable("OTHER_API_KEY")).build().expect("a client");
    fails(other.get_callback(made.id()).await, Kind::NotFound, "NOT_FOUND");
    drop(&stage, &made).await;
}

async fn list_callbacks(stage: Stage) {
    let (first, second) = (created(&stage).await, created(&stage).await);
    let pages = ListCallbacksRequest { page_size: 1, ..Default::default() };
    let listed = distinct(all(stage.client.list_callbacks(pages)).await, |callback| &callback.id);
    assert_eq!(listed[..2], [second.id(), first.id()]);
    drop(&stage, &first).await;
    drop(&stage, &second).await;
}

async fn update_callback(stage: Stage) {
    let made = created(&stage).await;
    for paused in [true, false] {
        let change = UpdateCallbackRequest { id: made.id().to_owned(), paused: Some(paused), ..Default::default() };
        let changed = stage.client.update_callback(change).await.expect("it is changed");
        assert_eq!((changed.paused, &changed.filter), (paused, &made.callback.filter));
        assert_eq!(stage.client.get_callback(made.id()).await.expect("it is found"), changed);
    }
    drop(&stage, &made).await;
}

async fn delete_callback(stage: Stage) {
    let made = created(&stage).await;
    for _ in 0..2 {
        drop(&stage, &made).await;
        fails(stage.client.get_callback(made.id()).await, Kind::NotFound, "NOT_FOUND");
    }
}

async fn rotate_callback_secret(stage: Stage) {
    let made = created(&stage).await;
    let rotated = stage.client.rotate_callback_secret(made.id()).await.expect("a secret");
    assert!(rotated.secret.starts_with("whsec_") && rotated.secret != made.secret);
    assert!(rotated.callback.expect("a callback").old_secrets_expire_time.is_some());
    drop(&stage, &made).await;
}

async fn test_callback(stage: Stage) {
    let made = created(&stage).await;
    let delivery = stage.client.test_callback(made.id()).await.expect("a delivery");
    assert_eq!((delivery.state(), delivery.problem()), (DeliveryState::Failed, DeliveryProblem::Connection));
    assert_eq!(delivery.http_status, 0);
    drop(&stage, &made).await;
}

async fn list_deliveries(stage: Stage) {
    let made = created(&stage).await;
    assert_eq!(all(stage.client.list_deliveries(made.id())).await, []);
    let refused = stage.client.list_deliveries("").next().await.expect("a response");
    fails(refused, Kind::InvalidInput, "INVALID_INPUT");
    drop(&stage, &made).await;
}

async fn redeliver_delivery(stage: Stage) {
    fails(stage.client.redeliver(Uuid::new_v4()).await, Kind::NotFound, "NOT_FOUND");
}
