//! Waits and watches that resume after lost connections and restarts of the gateway.

use std::{pin::Pin, time::Duration};

use async_stream::stream;
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use crate::{
    calls::{Calls, Outage, rpc},
    cursor::{WatchCursor, WatchEvent},
    error::Error,
    inputs::duration,
    v1::{
        Generation, SoulCharacter, WaitGenerationRequest, WatchCharacterRequest, WatchCharacterResponse,
        WatchGenerationRequest, WatchGenerationResponse, WatchGenerationsRequest, WatchGenerationsResponse,
        WatchModelsRequest, WatchModelsResponse, generation_service_client::GenerationServiceClient,
    },
};

/// A stream of a client. Dropping it ends its call; it ends after an error.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

// The timeout of one WaitGeneration call: short enough for proxies with idle timeouts, and long enough to be cheap.
const WAIT_STEP: Duration = Duration::from_secs(50);

/// Returns the generation when it has ended, or as it is at the timeout.
pub(crate) async fn wait(calls: &Calls, id: String, timeout: Option<Duration>) -> Result<Generation, Error> {
    let deadline = timeout.and_then(|time| calls.after(time));
    loop {
        let asked = calls.timers.now();
        let step = deadline.map_or(WAIT_STEP, |end| end.saturating_duration_since(asked).min(WAIT_STEP));
        let request = WaitGenerationRequest { id: id.clone(), timeout: Some(duration(step)) };
        let call = rpc!(GenerationServiceClient.wait_generation);
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

/// The state of a watch: its requests, and the items that it makes of messages.
pub(crate) trait Source: Send + Sync + 'static {
    type Request: Send;
    type Message: Send + 'static;
    type Item: Send;

    /// Returns the request of the next stream.
    fn request(&self) -> Self::Request;

    /// Returns the items of a message.
    fn received(&mut self, message: Self::Message) -> Vec<Self::Item>;

    /// Returns whether nothing follows what was received.
    fn is_done(&self) -> bool {
        false
    }
}

/// Streams the items of a source, and opens a new stream when one breaks.
pub(crate) fn follow<S, F>(
    calls: &Calls,
    mut source: S,
    open: impl Fn(Channel, Request<S::Request>) -> F + Send + Sync + 'static,
) -> BoxStream<S::Item>
where
    S: Source,
    F: Future<Output = Result<Response<Streaming<S::Message>>, Status>> + Send,
{
    let calls = calls.clone();
    Box::pin(stream! {
        let mut outage = Outage::new(&calls, Some(calls.retry.resume_watches_for), None);
        loop {
            let request = calls.request(source.request(), None);
            let broken = match open(calls.channel.clone(), request).await {
                Err(status) => status,
                Ok(opened) => {
                    let mut messages = opened.into_inner();
                    loop {
                        match messages.message().await {
                            // The gateway ended the stream: nothing follows.
                            Ok(None) => return,
                            Err(status) => break status,
                            Ok(Some(message)) => {
                                outage.over();
                                for item in source.received(message) {
                                    yield Ok(item);
                                }
                                if source.is_done() {
                                    return;
                                }
                            }
                        }
                    }
                }
            };
            if let Err(error) = outage.endure(broken.into()).await {
                yield Err(error);
                return;
            }
        }
    })
}

/// Every change after a revision, exactly once and in order, until the generation has ended.
pub(crate) struct One {
    request: WatchGenerationRequest,
    /// The generation that forecasts belong to.
    last: Option<Generation>,
    done: bool,
}

impl One {
    pub fn new(request: WatchGenerationRequest, known: Option<Generation>) -> Self {
        let last = known.filter(|_| request.forecast_interval.is_some());
        Self { request, last, done: false }
    }
}

impl Source for One {
    type Request = WatchGenerationRequest;
    type Message = WatchGenerationResponse;
    type Item = Generation;

    fn request(&self) -> WatchGenerationRequest {
        self.request.clone()
    }

    fn received(&mut self, message: WatchGenerationResponse) -> Vec<Generation> {
        let news = message.generation.filter(|generation| generation.revision > self.request.after_revision);
        if let Some(generation) = news {
            self.request.after_revision = generation.revision;
            self.done = generation.done;
            self.last = self.request.forecast_interval.is_some().then(|| generation.clone());
            return vec![generation];
        }
        match (&mut self.last, message.forecast) {
            (Some(last), Some(forecast)) => {
                last.forecast = Some(forecast);
                vec![last.clone()]
            }
            _ => Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

/// The events of all generations that match, until those in the filter's ids have ended; for other filters without end.
pub(crate) struct Many {
    request: WatchGenerationsRequest,
    cursor: WatchCursor,
}

impl Many {
    pub fn new(request: WatchGenerationsRequest) -> Self {
        let cursor = WatchCursor::new(request.resume_token.clone());
        Self { request, cursor }
    }
}

impl Source for Many {
    type Request = WatchGenerationsRequest;
    type Message = WatchGenerationsResponse;
    type Item = WatchEvent;

    fn request(&self) -> WatchGenerationsRequest {
        WatchGenerationsRequest { resume_token: self.cursor.resume_token.clone(), ..self.request.clone() }
    }

    fn received(&mut self, message: WatchGenerationsResponse) -> Vec<WatchEvent> {
        self.cursor.received(message)
    }
}

/// A character as it is, and then every change until its training has ended.
pub(crate) struct Training {
    request: WatchCharacterRequest,
    last: Option<SoulCharacter>,
}

impl Training {
    pub fn new(id: String) -> Self {
        Self { request: WatchCharacterRequest { id }, last: None }
    }
}

impl Source for Training {
    type Request = WatchCharacterRequest;
    type Message = WatchCharacterResponse;
    type Item = SoulCharacter;

    fn request(&self) -> WatchCharacterRequest {
        self.request.clone()
    }

    fn received(&mut self, message: WatchCharacterResponse) -> Vec<SoulCharacter> {
        // Each stream begins with the current state, which may be the last one of the previous stream.
        let news = message.character.filter(|character| self.last.as_ref() != Some(character));
        self.last = news.clone().or(self.last.take());
        Vec::from_iter(news)
    }

    fn is_done(&self) -> bool {
        self.last.as_ref().is_some_and(|character| character.done)
    }
}

/// Every change of the list of models after a revision.
pub(crate) struct ModelChanges {
    request: WatchModelsRequest,
}

impl ModelChanges {
    pub fn new(request: WatchModelsRequest) -> Self {
        Self { request }
    }
}

impl Source for ModelChanges {
    type Request = WatchModelsRequest;
    type Message = WatchModelsResponse;
    type Item = WatchModelsResponse;

    fn request(&self) -> WatchModelsRequest {
        self.request
    }

    fn received(&mut self, message: WatchModelsResponse) -> Vec<WatchModelsResponse> {
        self.request.after_revision = Some(message.revision);
        if message.model.is_some() { vec![message] } else { Vec::new() }
    }
}
