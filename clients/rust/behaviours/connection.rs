//! Connections that die or move, many calls at the same time, and closed clients.

use hfgateway_client::{Kind, StreamExt};
use serde_json::json;
use tokio::{spawn, task::JoinSet, time::timeout};

use crate::stage::{PATIENCE, Stage, behaviours, fails, fox, nth, rest};

behaviours!(dead_connection, moved_name, concurrent_calls, closed_client);

async fn dead_connection(stage: Stage) {
    let submission = stage.queued(fox()).await;
    assert_ne!(stage.control("swallow", json!({})).await["connections"], 0);
    assert_eq!(stage.client.get(submission.id()).await.expect("it is retried").id, submission.id());
}

async fn moved_name(stage: Stage) {
    let submission = stage.queued(fox()).await;
    let builder = hfgateway_client::Client::builder(stage.variable("NAMED_ADDRESS"));
    let client = builder.api_key(stage.variable("API_KEY")).insecure().build().expect("a client");
    let (mut watch, mut seen) = (client.watch(submission.id()), Vec::new());
    nth(&mut watch, |changed| changed.state_name() == "QUEUED", &mut seen).await;
    stage.control("move", json!({})).await;
    stage.advance(60.0).await;
    rest(&mut watch, &mut seen).await;
    let revisions: Vec<_> = seen.iter().map(|changed| changed.revision).collect();
    assert_eq!(revisions, Vec::from_iter(1..=seen.len() as i32));
    assert_eq!(client.get(submission.id()).await.expect("it is found").state_name(), "COMPLETED");
}

async fn concurrent_calls(stage: Stage) {
    let submission = stage.queued(fox()).await;
    let (mut calls, mut watches) = (JoinSet::new(), JoinSet::new());
    for _ in 0..11 {
        let (client, id) = (stage.client.clone(), submission.id().to_owned());
        let mut watch = client.watch(&id);
        calls.spawn(async move { client.get(id).await.expect("it is found").id });
        watches.spawn(async move {
            let mut seen = Vec::new();
            rest(&mut watch, &mut seen).await;
            seen.pop().expect("a change").state_name().into_owned()
        });
    }
    let found = timeout(PATIENCE, calls.join_all()).await.expect("responses");
    assert_eq!(found, vec![submission.id(); 11]);
    stage.advance(60.0).await;
    assert_eq!(watches.join_all().await, vec!["COMPLETED"; 11]);
}

async fn closed_client(stage: Stage) {
    let submission = stage.queued(fox()).await;
    let client = stage.another().api_key(stage.variable("API_KEY")).build().expect("a client");
    let mut watch = client.watch(submission.id());
    watch.next().await.expect("a change").expect("no error");
    let waiting = spawn({
        let (client, id) = (client.clone(), submission.id().to_owned());
        async move { client.wait(id, None).await }
    });
    client.get(submission.id()).await.expect("it is sent after the wait");
    client.close();
    let ends = async {
        fails(waiting.await.expect("no panic"), Kind::ClientClosed, "");
        let mut last = watch.next().await;
        while let Some(Ok(_)) = last {
            last = watch.next().await; // a change that had arrived
        }
        fails(last.expect("an error"), Kind::ClientClosed, "");
        fails(client.get(submission.id()).await, Kind::ClientClosed, "");
    };
    timeout(PATIENCE, ends).await.expect("all end at once");
    assert_eq!(stage.client.get(submission.id()).await.expect("it is there").state_name(), "QUEUED");
}
