//! Reading, waiting and watching, also over cut connections and restarts of the gateway.

use std::time::Duration;

use hfgateway_client::{
    Error, Kind, News, StreamExt, Submit, WatchEvent, soul,
    v1::{
        AdoptGenerationRequest, ApiVersion, Generation, GenerationFilter, ListGenerationsRequest, SoulInput,
        WatchGenerationsRequest,
    },
};
use serde_json::json;
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use crate::stage::{PATIENCE, Stage, behaviours, fails, fox, nth, rest, unique};

behaviours!(
    get,
    get_unknown,
    adopt,
    adopt_unknown,
    list_pages,
    wait,
    watch_to_end,
    watch_resumes_after_cut,
    watch_resumes_after_restart,
    watch_stops,
    watch_many,
    watch_many_resumes_after_cut,
    watch_many_resume_token,
    generate,
    generate_failed,
);

async fn get(stage: Stage) {
    let input = fox();
    let submission = stage.queued(input.clone()).await;
    let generation = stage.client.get(submission.id()).await.expect("it is there");
    assert_eq!((generation.id.as_str(), generation.input), (submission.id(), Some(input.into())));
}

async fn get_unknown(stage: Stage) {
    fails(stage.client.get(Uuid::new_v4().to_string()).await, Kind::NotFound, "NOT_FOUND");
}

async fn adopt(stage: Stage) {
    let prompt = unique("a fox");
    let made = stage.control("elsewhere", json!({"prompt": prompt})).await;
    let request_id = made["request_id"].as_str().expect("an id");
    let labels = [("from".to_owned(), "elsewhere".to_owned())].into();
    let request = AdoptGenerationRequest { labels, ..request_id.into() };
    let first = stage.client.adopt(request).await.expect("it is adopted");
    let again = stage.client.adopt(request_id).await.expect("it is adopted again");
    let id = first.generation.expect("a generation").id;
    assert_eq!((&again.generation.expect("it again").id, first.replayed, again.replayed), (&id, false, true));
    stage.advance(60.0).await;
    let done = stage.client.wait(&id, PATIENCE).await.expect("it ends");
    assert_eq!((done.state_name().as_ref(), done.adopted), ("COMPLETED", true));
    assert_eq!(done.labels["from"], "elsewhere");
    let filter = GenerationFilter { upstream_request_ids: vec![request_id.to_owned()], ..Default::default() };
    let mut found = Vec::new();
    rest(&mut stage.client.list(filter), &mut found).await;
    assert_eq!(found.into_iter().map(|generation| generation.id).collect::<Vec<_>>(), [id]);
    stage.charged(&prompt, 1, 1).await;
}

async fn adopt_unknown(stage: Stage) {
    let unknown = Uuid::new_v4().to_string();
    let request = AdoptGenerationRequest { api_version: ApiVersion::V1.into(), ..unknown.into() };
    fails(stage.client.adopt(request).await, Kind::NotFound, "NOT_FOUND");
}

async fn list_pages(stage: Stage) {
    let run = unique("five");
    let mut made = Vec::new();
    for _ in 0..5 {
        made.insert(0, stage.queued(Submit::new(fox()).label("run", &run)).await.id().to_owned());
    }
    let filter = GenerationFilter { labels: [("run".to_owned(), run)].into(), ..Default::default() };
    let mut found = Vec::new();
    rest(&mut stage.client.list(ListGenerationsRequest { page_size: 2, ..filter.into() }), &mut found).await;
    assert_eq!(found.into_iter().map(|generation| generation.id).collect::<Vec<_>>(), made);
}

async fn wait(stage: Stage) {
    let submission = stage.queued(fox()).await;
    let early = stage.client.wait(submission.id(), Duration::from_millis(200)).await.expect("as it is");
    assert_eq!((early.id.as_str(), early.done), (submission.id(), false));
    let waits = stage.client.wait(submission.id(), PATIENCE);
    let (late, ()) = tokio::join!(waits, stage.advance(60.0));
    let late = late.expect("as it ended");
    assert_eq!((late.state_name().as_ref(), late.done), ("COMPLETED", true));
}

#[derive(Clone, Copy)]
enum Trouble {
    None,
    Cut,
    Restart,
}

impl Trouble {
    async fn happen(self, stage: &Stage) {
        match self {
            Self::None => {}
            Self::Cut => stage.cut().await,
            Self::Restart => stage.restart().await,
        }
    }
}

async fn watch_to_end(stage: Stage) {
    watch_over(&stage, Trouble::None).await;
}

async fn watch_resumes_after_cut(stage: Stage) {
    watch_over(&stage, Trouble::Cut).await;
}

async fn watch_resumes_after_restart(stage: Stage) {
    watch_over(&stage, Trouble::Restart).await;
}

/// Checks that a watch has every revision, once and in order, to COMPLETED with its outputs.
async fn watch_over(stage: &Stage, trouble: Trouble) {
    let submission = stage.queued(fox()).await;
    let mut seen = Vec::new();
    let mut watch = stage.client.watch(submission.id());
    nth(&mut watch, |changed| changed.state_name() == "QUEUED", &mut seen).await;
    trouble.happen(stage).await;
    stage.advance(1.5).await;
    nth(&mut watch, |changed| changed.state_name() == "IN_PROGRESS", &mut seen).await;
    trouble.happen(stage).await;
    stage.advance(60.0).await;
    rest(&mut watch, &mut seen).await;
    assert_eq!(revisions(&seen), from(1, seen.len()));
    let last = seen.last().expect("something");
    assert_eq!(last.state_name(), "COMPLETED");
    assert!(!last.outputs[0].url.is_empty());
}

fn revisions(changes: &[Generation]) -> Vec<i32> {
    changes.iter().map(|changed| changed.revision).collect()
}

fn from(first: i32, count: usize) -> Vec<i32> {
    (first..).take(count).collect()
}

async fn watch_stops(stage: Stage) {
    let submission = stage.queued(fox()).await;
    let mut watch = stage.client.watch(submission.id());
    nth(&mut watch, |changed| changed.state_name() == "QUEUED", &mut Vec::new()).await;
    drop(watch);

    let (began, begun) = oneshot::channel();
    let mut watch = stage.client.watch(submission.id());
    let following = tokio::spawn(async move {
        let mut began = Some(began);
        while let Some(change) = watch.next().await {
            change.expect("no error");
            began.take().map(|began| began.send(()));
        }
    });
    begun.await.expect("a change");
    following.abort();
    let ended = timeout(PATIENCE, following).await.expect("it ends at once");
    assert!(ended.expect_err("it was stopped").is_cancelled());

    stage.advance(60.0).await;
    stage.until(submission.id(), "COMPLETED").await;
}

async fn watch_many(stage: Stage) {
    watch_two(&stage, Some(Uuid::new_v4().to_string()), Trouble::None).await;
}

async fn watch_many_resumes_after_cut(stage: Stage) {
    watch_two(&stage, None, Trouble::Cut).await;
}

async fn watch_two(stage: &Stage, unknown: Option<String>, trouble: Trouble) {
    let first = stage.queued(fox()).await.generation;
    let second = stage.queued(fox()).await.generation;
    let both = [&first, &second];
    let ids = both.iter().map(|one| one.id.clone()).chain(unknown.clone()).collect();
    let mut seen = Vec::new();
    let mut watch = stage.client.watch_many(GenerationFilter { ids, ..Default::default() });
    nth(&mut watch, |event| event.news == News::CaughtUp, &mut seen).await;
    trouble.happen(stage).await;
    stage.advance(1.5).await;
    for _ in both {
        nth(&mut watch, has_state("IN_PROGRESS"), &mut seen).await;
    }
    trouble.happen(stage).await;
    stage.advance(60.0).await;
    rest(&mut watch, &mut seen).await;

    assert_eq!(seen.iter().filter(|event| event.news == News::CaughtUp).count(), 1);
    let missing: Vec<_> = seen.iter().filter(|event| matches!(event.news, News::Missing(_))).collect();
    let expected: Vec<_> = unknown.into_iter().map(|id| News::Missing(vec![id])).collect();
    assert_eq!(missing.into_iter().map(|event| event.news.clone()).collect::<Vec<_>>(), expected);
    for one in both {
        let changes = changes_of(&seen, &one.id);
        assert_eq!(revisions(&changes), from(one.revision, changes.len()));
        assert_eq!(changes.last().expect("a change").state_name(), "COMPLETED");
    }
}

fn changes_of(seen: &[WatchEvent], id: &str) -> Vec<Generation> {
    let changes = seen.iter().filter_map(|event| match &event.news {
        News::Changed(generation) if generation.id == id => Some(generation.as_ref().clone()),
        _ => None,
    });
    changes.collect()
}

fn has_state(state: &str) -> impl Fn(&WatchEvent) -> bool {
    move |event| matches!(&event.news, News::Changed(generation) if generation.state_name() == state)
}

async fn watch_many_resume_token(stage: Stage) {
    let submission = stage.queued(fox()).await;
    let filter = GenerationFilter { ids: vec![submission.id().to_owned()], ..Default::default() };
    let mut first = Vec::new();
    let mut watch = stage.client.watch_many(filter.clone());
    let resume_token = nth(&mut watch, |event| event.news == News::CaughtUp, &mut first).await.resume_token;
    drop(watch);
    assert!(!resume_token.is_empty());
    stage.advance(60.0).await;
    stage.until(submission.id(), "COMPLETED").await;

    let mut second = Vec::new();
    let request = WatchGenerationsRequest { resume_token, ..filter.into() };
    rest(&mut stage.client.watch_many(request), &mut second).await;
    let last = changes_of(&first, submission.id()).last().expect("a change").revision;
    let changes = changes_of(&second, submission.id());
    assert_eq!(revisions(&changes), from(last + 1, changes.len()));
    assert_eq!(changes.last().expect("a change").state_name(), "COMPLETED");
}

async fn generate(stage: Stage) {
    let input = fox();
    let (result, seen) = generated(&stage, input.clone()).await;
    let generation = result.expect("it completes");
    let mut revisions = revisions(&seen);
    revisions.dedup(); // a newer forecast repeats one
    assert_eq!(revisions, from(1, revisions.len()));
    assert_eq!((generation.state_name().as_ref(), Some(&generation)), ("COMPLETED", seen.last()));
    assert!(!generation.outputs[0].url.is_empty());
    stage.charged(&input.prompt, 1, 1).await;
}

async fn generate_failed(stage: Stage) {
    let input = soul(unique("a fox [nsfw]"));
    let (result, seen) = generated(&stage, input.clone()).await;
    let error = fails(result, Kind::GenerationModerated, "MODERATED");
    let ended = error.generation().expect("what ended");
    assert_eq!((&ended.id, ended.state_name().as_ref()), (&seen[0].id, "NSFW"));
    stage.charged(&input.prompt, 0, 1).await;
}

/// Returns the result of `generate`, and the progress that it reported.
async fn generated(stage: &Stage, input: SoulInput) -> (Result<Generation, Error>, Vec<Generation>) {
    let (queued, is_queued) = oneshot::channel();
    let mut queued = Some(queued);
    let mut seen = Vec::new();
    let generates = stage.client.generate(Submit::new(input).timeout(PATIENCE), |generation| {
        seen.push(generation.clone());
        if generation.state_name() == "QUEUED" {
            queued.take().map(|queued| queued.send(()));
        }
    });
    let goes_on = async {
        is_queued.await.expect("it is queued");
        stage.advance(60.0).await;
    };
    let (result, ()) = tokio::join!(generates, goes_on);
    (result, seen)
}
