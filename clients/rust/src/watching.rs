//! Waits and watches that outlast their streams: drains, restarts and lost connections end a stream, not them.

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
        generation_service_client::GenerationServiceClient,
    },
};

/// A stream of a client; dropping it ends its call. After an error it is over.
pub type BoxStream<T> = Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>;

// One WaitGeneration asks for so long: short enough for the proxies on the way, long enough to cost nothing.
const WAIT_STEP: Duration = Duration::from_secs(50);

/// The generation when it is done, or at the time-out as it is by then.
pub(crate) async fn wait(calls: &Calls, id: String, timeout: Option<Duration>) -> Result<Generation, Error> {
    let deadline = timeout.and_then(|time| calls.after(time));
    loop {
        let asked = calls.timers.now();
        let step = deadline.map_or(WAIT_STEP, |end| end.saturating_duration_since(asked).min(WAIT_STEP));
        let request = WaitGenerationRequest { id: id.clone(), timeout: Some(duration(step)) };
        let call = rpc!(GenerationServiceClient.wait_generation);
        let answer = calls.unary(request, calls.timeout.saturating_add(step), call).await?;
        let generation = answer.generation.unwrap_or_default();
        if generation.done || calls.is_past(deadline) {
            return Ok(generation);
        }
        // A gateway that drains answers early: do not press it.
        if calls.timers.now().saturating_duration_since(asked) < step / 2 {
            calls.timers.sleep(calls.retry.first_delay).await;
        }
    }
}

/// What is asked of a watch, and what is made of its answers.
pub(crate) trait Source: Send + Sync + 'static {
    type Request: Send;
    type Message: Send + 'static;
    type Item: Send;

    /// What opens the next stream.
    fn request(&self) -> Self::Request;

    /// What to tell before the first message of a stream.
    fn opened(&mut self) -> Option<Self::Item> {
        None
    }

    /// What a message tells.
    fn received(&mut self, message: Self::Message) -> Vec<Self::Item>;

    /// Nothing comes after what was received.
    fn is_done(&self) -> bool {
        false
    }
}

/// What a source tells, over all the streams that it takes.
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
            if let Some(item) = source.opened() {
                yield Ok(item);
            }
            let broken = match open(calls.channel.clone(), request).await {
                Err(status) => status,
                Ok(opened) => {
                    let mut messages = opened.into_inner();
                    loop {
                        match messages.message().await {
                            // The gateway has ended it: nothing comes after what we know.
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

/// Every change after a revision, each once and in order, until it is done.
pub(crate) struct One {
    request: WatchGenerationRequest,
    done: bool,
}

impl One {
    pub fn new(request: WatchGenerationRequest) -> Self {
        Self { request, done: false }
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
        if let Some(generation) = &news {
            self.request.after_revision = generation.revision;
            self.done = generation.done;
        }
        Vec::from_iter(news)
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

/// The news of all generations that match, until those of the filter's ids are done; else without end.
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

    fn opened(&mut self) -> Option<WatchEvent> {
        self.cursor.stream_opened()
    }

    fn received(&mut self, message: WatchGenerationsResponse) -> Vec<WatchEvent> {
        self.cursor.received(message)
    }
}

/// How a character is, then every change of it, until its training has ended.
pub(crate) struct Training {
    request: WatchCharacterRequest,
    told: Option<SoulCharacter>,
}

impl Training {
    pub fn new(id: String) -> Self {
        Self { request: WatchCharacterRequest { id }, told: None }
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
        // Each stream begins with the present, which may be what the one before it ended with.
        let news = message.character.filter(|character| self.told.as_ref() != Some(character));
        self.told = news.clone().or(self.told.take());
        Vec::from_iter(news)
    }

    fn is_done(&self) -> bool {
        self.told.as_ref().is_some_and(|character| character.done)
    }
}
