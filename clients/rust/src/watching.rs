//! Waits and watches that resume after lost connections and restarts of the gateway.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use async_stream::try_stream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::{
    calls::{Calls, Outage, request, rpc},
    client::Client,
    cursor::{WatchCursor, WatchEvent},
    error::Error,
    inputs::duration,
    transport::Transport,
    v1::{
        catalog_service_client::CatalogServiceClient, character_service_client::CharacterServiceClient,
        generation_service_client::GenerationServiceClient, *,
    },
};

/// A stream of a client. Dropping it ends its call; it ends after an error.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

// The timeout of one WaitGeneration call: short enough for proxies with idle timeouts, and long enough to be cheap.
const WAIT_STEP: Duration = Duration::from_secs(50);

impl Client {
    /// Waits until the generation has ended, and returns it.
    ///
    /// At the timeout (`None`: no limit) it returns the generation as it is; see its `done`.
    pub async fn wait(&self, id: impl Into<String>, timeout: impl Into<Option<Duration>>) -> Result<Generation, Error> {
        let (calls, id) = (&self.calls, id.into());
        let deadline = timeout.into().and_then(|time| calls.after(time));
        loop {
            let asked = calls.timers.now();
            let step = deadline.map_or(WAIT_STEP, |end| end.saturating_duration_since(asked).min(WAIT_STEP));
            let request = WaitGenerationRequest { id: id.clone(), timeout: None };
            // An attempt after a lost connection waits for the rest of the step.
            let call = |transport, mut attempt: Request<WaitGenerationRequest>| {
                let passed = calls.timers.now().saturating_duration_since(asked);
                attempt.get_mut().timeout = Some(duration(step.saturating_sub(passed)));
                rpc!(GenerationServiceClient.wait_generation)(transport, attempt)
            };
            let response = calls.unary(request, calls.timeout.saturating_add(step), call).await?;
            let generation = response.generation.unwrap_or_default();
            if generation.done || calls.is_past(deadline) {
                return Ok(generation);
            }
            // A gateway that shuts down responds early: back off.
            if calls.timers.now().saturating_duration_since(asked) < step / 2 {
                calls.timers.sleep(calls.retry.first_delay).await;
            }
        }
    }

    /// Streams every change of one generation, exactly once and in order, and ends after the final one.
    ///
    /// Takes an id, or a request with the revision to begin after. If the stream breaks, it resumes from the last
    /// revision. With a `forecast_interval` in the request, the last generation comes again with each newer forecast, at
    /// the same revision.
    pub fn watch(&self, request: impl Into<WatchGenerationRequest>) -> BoxStream<Generation> {
        self.watch_from(request.into(), None, None)
    }

    /// Does as `watch`, but does not resume after the deadline. Forecasts before the first change belong to `last`, and are
    /// left out if it is not known.
    pub(crate) fn watch_from(
        &self,
        request: WatchGenerationRequest,
        mut last: Option<Generation>,
        deadline: Option<Instant>,
    ) -> BoxStream<Generation> {
        // If the given revision is the last one, the gateway ends the stream without a message.
        let rest = if last.is_none() && request.after_revision > 0 { Rest::Perhaps } else { Rest::More };
        let received = move |next: &mut WatchGenerationRequest, message: WatchGenerationResponse| {
            let forecast = message.forecast.filter(|_| next.forecast_interval.is_some());
            let generation = match (message.generation, forecast, &last) {
                (Some(generation), ..) if generation.revision > next.after_revision => generation,
                (_, Some(forecast), Some(last)) => Generation { forecast: Some(forecast), ..last.clone() },
                _ => return (None, Rest::More),
            };
            next.after_revision = generation.revision;
            last = next.forecast_interval.is_some().then(|| generation.clone());
            let rest = Rest::after(generation.done);
            (Some(generation), rest)
        };
        follow(&self.calls, deadline, request, rest, received, rpc!(GenerationServiceClient.watch_generation))
    }

    /// Streams the events of all generations that match, including ones created later.
    ///
    /// Takes a filter, or a request with the resume token to begin after. With ids in the filter, the stream
    /// includes generations that have already ended, and ends when all have. With other filters it begins with
    /// generations that have not ended, and never ends. If it breaks, it resumes with the last token.
    pub fn watch_many(&self, request: impl Into<WatchGenerationsRequest>) -> BoxStream<WatchEvent> {
        let request = request.into();
        let finite = request.filter.as_ref().is_some_and(|filter| !filter.ids.is_empty());
        let rest = if finite { Rest::Perhaps } else { Rest::More };
        let mut cursor = WatchCursor::new(request.resume_token.clone());
        let received = move |next: &mut WatchGenerationsRequest, message: WatchGenerationsResponse| {
            let events = cursor.received(message);
            next.resume_token.clone_from(&cursor.resume_token);
            (events, rest)
        };
        follow(&self.calls, None, request, rest, received, rpc!(GenerationServiceClient.watch_generations))
    }

    /// Streams the character as it is, and then every change until its training has ended.
    ///
    /// If the stream breaks, it is opened again.
    pub fn watch_character(&self, id: impl Into<String>) -> BoxStream<SoulCharacter> {
        let mut last = None;
        let received = move |_: &mut WatchCharacterRequest, message: WatchCharacterResponse| {
            // Each stream begins with the current state, which may be the last one of the previous stream.
            let news = message.character.filter(|character| last.as_ref() != Some(character));
            last = news.clone().or(last.take());
            let rest = Rest::after(news.as_ref().is_some_and(|character| character.done));
            (news, rest)
        };
        let request = WatchCharacterRequest { id: id.into() };
        follow(&self.calls, None, request, Rest::More, received, rpc!(CharacterServiceClient.watch_character))
    }

    /// Streams changes of Higgsfield's list of models: models that are new, changed or gone.
    ///
    /// It starts after the revision of the request; 0 is before the first change, and
    /// `WatchModelsRequest::default()` streams only future changes. If the stream breaks, it is opened again.
    pub fn watch_models(&self, request: WatchModelsRequest) -> BoxStream<WatchModelsResponse> {
        let received = |next: &mut WatchModelsRequest, message: WatchModelsResponse| {
            next.after_revision = Some(message.revision);
            (Some(message).filter(|message| message.model.is_some()), Rest::More)
        };
        follow(&self.calls, None, request, Rest::More, received, rpc!(CatalogServiceClient.watch_models))
    }
}

/// Reports the changes of what was started, and returns it as it is at the end of the watch.
pub(crate) async fn last<T: PartialEq>(
    mut known: T,
    mut changes: BoxStream<T>,
    mut seen: impl FnMut(&T),
) -> Result<T, Error> {
    while let Some(change) = changes.next().await.transpose()? {
        // A watch may begin with what is known.
        if change != known {
            known = change;
            seen(&known);
        }
    }
    Ok(known)
}

/// What follows the messages that a watch has received.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    Nothing,
    /// The gateway may end the stream.
    Perhaps,
    /// A stream that ends with OK was cut off by a proxy.
    More,
}

impl Rest {
    const fn after(done: bool) -> Self {
        if done { Self::Nothing } else { Self::More }
    }
}

/// Streams the items of a watch, and opens a new stream when one breaks, until the deadline. `rest` is what follows at
/// the start. `received` updates the request of the next stream; it returns the items of a message, and what follows.
fn follow<Q, M, I, F>(
    calls: &Calls,
    deadline: Option<Instant>,
    mut next: Q,
    mut rest: Rest,
    mut received: impl FnMut(&mut Q, M) -> (I, Rest) + Send + 'static,
    open: impl Fn(Transport, Request<Q>) -> F + Send + Sync + 'static,
) -> BoxStream<I::Item>
where
    Q: Clone + Send + Sync + 'static,
    M: Send + 'static,
    I: IntoIterator<Item: Send, IntoIter: Send> + Send + 'static,
    F: Future<Output = Result<Response<Streaming<M>>, Status>> + Send,
{
    let calls = calls.clone();
    Box::pin(try_stream! {
        let mut outage = Outage::new(&calls, Some(calls.retry.resume_watches_for), deadline);
        let mut messages = None;
        loop {
            // Opens a stream, or reads its next message.
            let step = async {
                let stream: &mut Streaming<M> = match &mut messages {
                    Some(stream) => stream,
                    none => none.insert(open(calls.transport.clone(), request(next.clone(), None)).await?.into_inner()),
                };
                match stream.message().await {
                    Ok(None) if rest == Rest::More => {
                        Err(Status::internal("the watch ended without its last message"))
                    }
                    read => read,
                }
            };
            let endured = calls.until_closed(async {
                match step.await {
                    Ok(message) => Ok(Some(message)),
                    Err(status) => outage.endure(status.into()).await.map(|()| None),
                }
            });
            match endured.await? {
                None => messages = None,
                // The gateway ended the stream: nothing follows.
                Some(None) => return,
                Some(Some(message)) => {
                    outage.over();
                    let items;
                    (items, rest) = received(&mut next, message);
                    for item in items {
                        yield item;
                    }
                    if rest == Rest::Nothing {
                        return;
                    }
                }
            }
        }
    })
}
