//! protos/vectors/cursor.json: the events of watches whose streams break, and the requests of the next streams.

use hfgateway_client::{
    News, StreamExt, WatchEvent,
    v1::{GenerationFilter, WatchGenerationRequest, WatchGenerationsRequest},
};
use serde_json::{Map, Value, json};
use tonic::Status;

use crate::{
    cases,
    gateway::{End, Gateway, Seen},
    protojson,
    timers::ManualTimers,
    vectors,
};

fn end(stream: &Value) -> End {
    match stream["ends"].as_str().unwrap() {
        "ok" => End::Ok,
        "breaks" => End::Error(Status::unavailable("broken")),
        other => panic!("{other}"),
    }
}

fn list<'a>(stream: &'a Value, name: &str) -> &'a [Value] {
    stream[name].as_array().unwrap()
}

#[tokio::test]
async fn a_watch_of_one() {
    for case in cases(&vectors("cursor.json"), "watches") {
        let name = &case["name"];
        let gateway = Gateway::start().await;
        let client = gateway.client(&ManualTimers::new(1.0));
        let streams = list(&case, "streams");
        for stream in streams {
            let messages = list(stream, "messages").iter().map(protojson::message_of_one).collect();
            gateway.streams(messages, end(stream));
        }
        let after_revision = case["after_revision"].as_i64().unwrap() as i32;
        let mut watch = client.watch(WatchGenerationRequest { after_revision, ..WatchGenerationRequest::from("g1") });
        let mut seen = Vec::new();
        while let Some(change) = watch.next().await {
            seen.push(json!(change.unwrap().revision));
        }
        let expected: Vec<Value> = streams.iter().flat_map(|stream| list(stream, "delivered").to_vec()).collect();
        assert_eq!(seen, expected, "{name}");
        let opened: Vec<_> = gateway
            .seen()
            .into_iter()
            .map(|request| match request {
                Seen::Watch(request) => json!(request.after_revision),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected: Vec<_> = streams.iter().map(|stream| stream["after_revision"].clone()).collect();
        assert_eq!(opened, expected, "{name}");
    }
}

#[tokio::test]
async fn a_watch_of_many() {
    for case in cases(&vectors("cursor.json"), "cases") {
        let name = &case["name"];
        let gateway = Gateway::start().await;
        let client = gateway.client(&ManualTimers::new(1.0));
        let streams = list(&case, "streams");
        for stream in streams {
            let messages = list(stream, "messages").iter().map(protojson::message_of_many).collect();
            gateway.streams_of_many(messages, end(stream));
        }
        let resume_token = case["resume_token"].as_str().unwrap().to_owned();
        let filter = Some(GenerationFilter { ids: vec!["g1".to_owned()], ..Default::default() });
        let mut watch = client.watch_many(WatchGenerationsRequest { resume_token, filter, ..Default::default() });
        let mut seen = Vec::new();
        while let Some(event) = watch.next().await {
            seen.push(shown(&event.unwrap()));
        }
        let expected: Vec<Value> = streams.iter().flat_map(|stream| list(stream, "events").to_vec()).collect();
        assert_eq!(seen, expected, "{name}");
        let opened: Vec<_> = gateway
            .seen()
            .into_iter()
            .map(|request| match request {
                Seen::WatchMany(request) => json!(request.resume_token),
                other => panic!("{other:?}"),
            })
            .collect();
        let expected: Vec<_> = streams.iter().map(|stream| stream["opened_with"].clone()).collect();
        assert_eq!(opened, expected, "{name}");
    }
}

/// Returns the event as in the vectors.
fn shown(event: &WatchEvent) -> Value {
    let resume_token = &event.resume_token;
    match &event.news {
        News::Changed(generation) => json!({
            "event": "changed", "resume_token": resume_token, "id": generation.id, "revision": generation.revision,
        }),
        News::CaughtUp => json!({"event": "caught_up", "resume_token": resume_token}),
        News::Reset => json!({"event": "reset", "resume_token": resume_token}),
        News::Missing(ids) => json!({"event": "missing", "resume_token": resume_token, "ids": ids}),
        News::Forecasts(forecasts) => {
            let progress: Map<_, _> = forecasts.iter().map(|(id, one)| (id.clone(), json!(one.progress))).collect();
            json!({"event": "forecasts", "resume_token": resume_token, "progress": progress})
        }
        other => panic!("{other:?}"),
    }
}
