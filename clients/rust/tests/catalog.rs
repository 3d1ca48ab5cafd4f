//! The catalogs.

use std::time::Duration;

use hfgateway_client::{
    BoxStream, Kind, StreamExt,
    v1::{
        GetModelRequest, ListModelsRequest, ListModelsResponse, ListMotionsRequest, ListMotionsResponse,
        ListPresetsRequest, ListPresetsResponse, ListSoulStylesRequest, ListSoulStylesResponse, Model, Motion, Preset,
        SoulStyle, SoulVersion,
    },
};
use tokio::time::timeout;

use crate::{
    gateway::{Gateway, Seen, status},
    timers::ManualTimers,
};

/// Returns all items of a stream, which must end without an error.
pub async fn all<T>(mut stream: BoxStream<T>) -> Vec<T> {
    let reads = async {
        let mut items = Vec::new();
        while let Some(item) = stream.next().await {
            items.push(item.unwrap());
        }
        items
    };
    timeout(Duration::from_secs(60), reads).await.expect("it ends")
}

fn model(id: &str) -> Model {
    Model { id: id.to_owned(), ..Default::default() }
}

fn second() -> String {
    "p2".to_owned()
}

#[tokio::test]
async fn list_models_fetches_all_pages() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.responds(ListModelsResponse {
        models: vec![model("a"), model("b")],
        next_page_token: second(),
        ..Default::default()
    });
    gateway.refuses(status(tonic::Code::Unavailable, "", None));
    gateway.responds(ListModelsResponse { models: vec![model("c")], ..Default::default() });
    let request = ListModelsRequest { query: "soul".to_owned(), page_size: 2, ..Default::default() };
    assert_eq!(all(client.list_models(request.clone())).await, [model("a"), model("b"), model("c")]);
    let next = Seen::other("ListModels", &ListModelsRequest { page_token: second(), ..request.clone() });
    assert_eq!(gateway.seen(), [Seen::other("ListModels", &request), next.clone(), next]);
}

#[tokio::test]
async fn the_other_lists_fetch_all_pages() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    let (one, other) = (Motion { id: "m1".to_owned(), ..Default::default() }, Motion::default());
    gateway.responds(ListMotionsResponse { motions: vec![one.clone()], next_page_token: second(), fetch_time: None });
    gateway.responds(ListMotionsResponse { motions: vec![other.clone()], ..Default::default() });
    assert_eq!(all(client.list_motions(ListMotionsRequest::default())).await, [one, other]);

    let (one, other) = (SoulStyle { id: "s1".to_owned(), ..Default::default() }, SoulStyle::default());
    gateway.responds(ListSoulStylesResponse {
        soul_styles: vec![one.clone()],
        next_page_token: second(),
        fetch_time: None,
    });
    gateway.responds(ListSoulStylesResponse { soul_styles: vec![other.clone()], ..Default::default() });
    assert_eq!(all(client.list_soul_styles(SoulVersion::V2)).await, [one, other]);

    let (one, other) = (Preset { id: "p1".to_owned(), ..Default::default() }, Preset::default());
    gateway.responds(ListPresetsResponse { presets: vec![one.clone()], next_page_token: second(), fetch_time: None });
    gateway.responds(ListPresetsResponse { presets: vec![other.clone()], ..Default::default() });
    assert_eq!(all(client.list_presets("a/model")).await, [one, other]);

    let styles = ListSoulStylesRequest { version: SoulVersion::V2.into(), ..Default::default() };
    let presets = ListPresetsRequest { model_id: "a/model".to_owned(), ..Default::default() };
    assert_eq!(
        gateway.seen(),
        [
            Seen::other("ListMotions", &ListMotionsRequest::default()),
            Seen::other("ListMotions", &ListMotionsRequest { page_token: second(), ..Default::default() }),
            Seen::other("ListSoulStyles", &styles),
            Seen::other("ListSoulStyles", &ListSoulStylesRequest { page_token: second(), ..styles.clone() }),
            Seen::other("ListPresets", &presets),
            Seen::other("ListPresets", &ListPresetsRequest { page_token: second(), ..presets.clone() }),
        ]
    );
}

#[tokio::test]
async fn an_unknown_model_is_its_own_error() {
    let gateway = Gateway::start().await;
    let client = gateway.client(&ManualTimers::new(1.0));
    gateway.refuses(status(tonic::Code::NotFound, "MODEL_UNKNOWN", None));
    assert_eq!(client.get_model("no/model").await.unwrap_err().kind(), Kind::ModelUnknown);
    assert_eq!(gateway.seen(), [Seen::other("GetModel", &GetModelRequest { id: "no/model".to_owned() })]);
}
