//! Callbacks and their deliveries.

use hfgateway_client::{
    Kind,
    v1::{
        Callback, CreateCallbackRequest, CreateCallbackResponse, DeleteCallbackRequest, DeleteCallbackResponse,
        Delivery, GetCallbackRequest, GetCallbackResponse, ListCallbacksRequest, ListCallbacksResponse,
        ListDeliveriesRequest, ListDeliveriesResponse, RedeliverDeliveryRequest, RedeliverDeliveryResponse,
        RotateCallbackSecretRequest, RotateCallbackSecretResponse, TestCallbackRequest, TestCallbackResponse,
        UpdateCallbackRequest, UpdateCallbackResponse,
    },
};

use crate::{
    catalog::all,
    gateway::{Gateway, Seen, status},
    timers::ManualTimers,
};

const HOOK: &str = "https://example.com/hook";

fn callback(id: &str) -> Callback {
    Callback { id: id.to_owned(), url: HOOK.to_owned(), ..Default::default() }
}

fn delivery() -> Delivery {
    Delivery { id: "d1".to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_creation_is_retried_with_its_key_and_prints_no_secret() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    let (callback, secret) = (Some(callback("b1")), "whsec_1".to_owned());
    gateway.refuses(status(tonic::Code::Unavailable, "", None));
    gateway.responds(CreateCallbackResponse { callback, secret, replayed: false });
    let created = client.create_callback(HOOK).await.unwrap();
    assert_eq!((created.id(), created.secret.as_str(), created.replayed), ("b1", "whsec_1", false));
    assert_eq!(created.idempotency_key.len(), 36);
    let idempotency_key = created.idempotency_key.clone();
    let sent = Seen::other("CreateCallback", &CreateCallbackRequest { idempotency_key, ..HOOK.into() });
    assert_eq!(gateway.seen(), [sent.clone(), sent]);
    let shown = format!("{created:?}");
    assert!(shown.contains(HOOK) && !shown.contains("whsec_"), "{shown}");
}

#[tokio::test]
async fn the_error_of_a_creation_has_its_key() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.refuses(status(tonic::Code::ResourceExhausted, "QUOTA_EXCEEDED", None));
    let mine = CreateCallbackRequest { every_change: true, idempotency_key: "hook-9".to_owned(), ..HOOK.into() };
    let error = client.create_callback(mine.clone()).await.unwrap_err();
    assert_eq!((error.kind(), error.idempotency_key()), (Kind::QuotaExceeded, "hook-9"));
    assert_eq!(gateway.seen(), [Seen::other("CreateCallback", &mine)]);
}

#[tokio::test]
async fn both_lists_fetch_all_pages() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.responds(ListCallbacksResponse { callbacks: vec![callback("b2")], next_page_token: "p2".to_owned() });
    gateway.responds(ListCallbacksResponse { callbacks: vec![callback("b1")], ..Default::default() });
    let request = ListCallbacksRequest::default();
    assert_eq!(all(client.list_callbacks(request.clone())).await, [callback("b2"), callback("b1")]);
    gateway.responds(ListDeliveriesResponse { next_page_token: "p2".to_owned(), ..Default::default() });
    gateway.responds(ListDeliveriesResponse { deliveries: vec![delivery()], ..Default::default() });
    assert_eq!(all(client.list_deliveries("b1")).await, [delivery()]);
    let deliveries = ListDeliveriesRequest { callback_id: "b1".to_owned(), ..Default::default() };
    assert_eq!(
        gateway.seen(),
        [
            Seen::other("ListCallbacks", &request),
            Seen::other("ListCallbacks", &ListCallbacksRequest { page_token: "p2".to_owned(), ..request.clone() }),
            Seen::other("ListDeliveries", &deliveries),
            Seen::other("ListDeliveries", &ListDeliveriesRequest { page_token: "p2".to_owned(), ..deliveries.clone() }),
        ]
    );
}

#[tokio::test]
async fn the_other_methods_send_their_requests() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.responds(GetCallbackResponse { callback: Some(callback("b1")) });
    gateway.responds(UpdateCallbackResponse { callback: Some(callback("b2")) });
    gateway.responds(RotateCallbackSecretResponse { secret: "whsec_2".to_owned(), ..Default::default() });
    gateway.responds(TestCallbackResponse { delivery: Some(delivery()) });
    gateway.responds(RedeliverDeliveryResponse { delivery: Some(delivery()) });
    gateway.responds(DeleteCallbackResponse {});
    let id = || "b1".to_owned();
    let paused = UpdateCallbackRequest { id: id(), paused: Some(false), ..Default::default() };
    assert_eq!(client.get_callback("b1").await.unwrap(), callback("b1"));
    assert_eq!(client.update_callback(paused.clone()).await.unwrap(), callback("b2"));
    assert_eq!(client.rotate_callback_secret("b1").await.unwrap().secret, "whsec_2");
    assert_eq!(client.test_callback("b1").await.unwrap(), delivery());
    assert_eq!(client.redeliver("d1").await.unwrap(), delivery());
    client.delete_callback("b1").await.unwrap();
    assert_eq!(
        gateway.seen(),
        [
            Seen::other("GetCallback", &GetCallbackRequest { id: id() }),
            Seen::other("UpdateCallback", &paused),
            Seen::other("RotateCallbackSecret", &RotateCallbackSecretRequest { id: id() }),
            Seen::other("TestCallback", &TestCallbackRequest { id: id() }),
            Seen::other("RedeliverDelivery", &RedeliverDeliveryRequest { id: "d1".to_owned() }),
            Seen::other("DeleteCallback", &DeleteCallbackRequest { id: id() }),
        ]
    );
}

#[tokio::test]
async fn a_lost_secret_is_replaced() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    let replayed = || CreateCallbackResponse { callback: Some(callback("b1")), secret: String::new(), replayed: true };
    let secret = "whsec_2".to_owned();
    gateway.refuses(status(tonic::Code::Unavailable, "", None));
    gateway.responds(replayed()).responds(RotateCallbackSecretResponse { secret, ..Default::default() });
    assert_eq!(client.create_callback(HOOK).await.unwrap().secret, "whsec_2");
    // Another caller may have the secret of a callback that was created with the same key.
    gateway.responds(replayed());
    let keyed = CreateCallbackRequest { idempotency_key: "k".to_owned(), ..HOOK.into() };
    assert_eq!(client.create_callback(keyed).await.unwrap().secret, "");
    assert!(gateway.is_through());
}

#[tokio::test]
async fn the_error_of_a_lost_secret_has_the_key_of_the_creation() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.responds(CreateCallbackResponse { callback: Some(callback("b1")), replayed: true, ..Default::default() });
    gateway.refuses(status(tonic::Code::ResourceExhausted, "QUOTA_EXCEEDED", None));
    let error = client.create_callback(HOOK).await.unwrap_err();
    assert_eq!((error.kind(), error.idempotency_key().len()), (Kind::QuotaExceeded, 36));
}
