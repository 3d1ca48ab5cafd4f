//! The client: one method for each thing that a caller wants.

use std::{fmt, time::Duration};

use tokio_stream::StreamExt;

use crate::{
    builder::Builder,
    calls::{Calls, rpc, within},
    cursor::WatchEvent,
    error::Error,
    pages::pages,
    submit::{Submission, Submit},
    upload::{self, Upload},
    v1::{
        CancelGenerationRequest, CreateUploadRequest, CreateUploadResponse, CreateWatchTokenRequest,
        CreateWatchTokenResponse, DeleteGenerationRequest, EstimateGenerationRequest, EstimateGenerationResponse,
        ExplainGenerationRequest, ExplainGenerationResponse, Generation, GenerationInput, GenerationState,
        GetGenerationRequest, ListGenerationsRequest, UploadMediaResponse, WaitFor, WatchGenerationRequest,
        WatchGenerationsRequest, generation_service_client::GenerationServiceClient,
        token_service_client::TokenServiceClient, upload_service_client::UploadServiceClient,
    },
    watching::{self, BoxStream, Many, One, follow},
};

/// A gateway, for as many calls at a time as you like. A clone is the same connection; the last one to go closes it.
///
/// Every future and every stream may be dropped: that ends the call, and what it was about goes on.
#[derive(Clone)]
pub struct Client {
    pub(crate) calls: Calls,
}

impl Client {
    /// A client of the gateway at `host:port`.
    pub fn builder(address: impl Into<String>) -> Builder {
        Builder::new(address)
    }

    pub(crate) fn new(calls: Calls) -> Self {
        Self { calls }
    }

    /// The same client with another deadline for its unary calls.
    #[must_use]
    pub fn with_timeout(&self, time: Duration) -> Self {
        let mut client = self.clone();
        client.calls.timeout = time;
        client
    }

    /// Submits once, however often the answer gets lost: repeats carry the same key.
    ///
    /// # Errors
    ///
    /// An error has the key too ([`Error::idempotency_key`]), so that the same submit can be made again.
    pub async fn submit(&self, submit: impl Into<Submit>) -> Result<Submission, Error> {
        let submit = submit.into();
        let timeout = submit.timeout.unwrap_or(self.calls.timeout);
        let (request, waits) = submit.into_request();
        let idempotency_key = request.idempotency_key.clone();
        let call = rpc!(GenerationServiceClient.submit_generation);
        // The deadline would cut short a longer wait_timeout, so it comes on top.
        match self.calls.unary(request, timeout.saturating_add(waits), call).await {
            Ok(answer) => Ok(Submission {
                generation: answer.generation.unwrap_or_default(),
                idempotency_key,
                replayed: answer.replayed,
            }),
            Err(error) => Err(error.with_key(&idempotency_key)),
        }
    }

    /// Submits, follows it to its end, and returns it COMPLETED; `seen` is called with the generation as stored, and
    /// with every change.
    ///
    /// # Errors
    ///
    /// An end without output is one of the kinds below [`Kind::GenerationFailed`](crate::Kind); it is never submitted
    /// again. After [`Submit::timeout`] the call ends, and the generation goes on.
    pub async fn generate(
        &self,
        submit: impl Into<Submit>,
        mut seen: impl FnMut(&Generation),
    ) -> Result<Generation, Error> {
        let mut submit = submit.into().wait_for(WaitFor::Stored);
        let timeout = submit.timeout;
        let deadline = timeout.and_then(|time| self.calls.after(time));
        submit.timeout = timeout.map(|time| time.min(self.calls.timeout));
        let Submission { mut generation, idempotency_key, .. } = self.submit(submit).await?;
        seen(&generation);
        if !generation.done {
            let remaining = deadline.map(|end| end.saturating_duration_since(self.calls.timers.now()));
            let follow = async {
                let after_revision = generation.revision;
                let request = WatchGenerationRequest { after_revision, ..generation.id.as_str().into() };
                let mut changes = self.watch(request);
                while let Some(change) = changes.next().await {
                    generation = change?;
                    seen(&generation);
                }
                Ok(())
            };
            let followed: Result<(), Error> = within(remaining, follow).await.and_then(|result| result);
            followed.map_err(|error| error.with_key(&idempotency_key))?;
        }
        match generation.state() {
            GenerationState::Completed => Ok(generation),
            _ => Err(Error::ended(generation)),
        }
    }

    /// The generation as it is now, with its input.
    pub async fn get(&self, id: impl Into<String>) -> Result<Generation, Error> {
        let request = GetGenerationRequest { id: id.into() };
        let call = rpc!(GenerationServiceClient.get_generation);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.generation.unwrap_or_default())
    }

    /// All that match a filter, newest first; a page is fetched when it is needed.
    pub fn list(&self, request: impl Into<ListGenerationsRequest>) -> BoxStream<Generation> {
        pages(&self.calls, request.into(), rpc!(GenerationServiceClient.list_generations))
    }

    /// Cancels it.
    ///
    /// # Errors
    ///
    /// [`Kind::NotCancelable`](crate::Kind) where it is too late.
    pub async fn cancel(&self, id: impl Into<String>) -> Result<Generation, Error> {
        let request = CancelGenerationRequest { id: id.into() };
        let call = rpc!(GenerationServiceClient.cancel_generation);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.generation.unwrap_or_default())
    }

    /// The generation when it is done, or at the time-out as it is by then: see its `done`.
    pub async fn wait(&self, id: impl Into<String>, timeout: impl Into<Option<Duration>>) -> Result<Generation, Error> {
        watching::wait(&self.calls, id.into(), timeout.into()).await
    }

    /// Every change of one generation, each once and in order; ends after the one that is done. Takes its id, or a
    /// request that says where to begin. A stream that breaks is opened again from the last revision seen.
    pub fn watch(&self, request: impl Into<WatchGenerationRequest>) -> BoxStream<Generation> {
        follow(&self.calls, One::new(request.into()), rpc!(GenerationServiceClient.watch_generation))
    }

    /// Many generations on one stream, later ones included. Takes a filter, or a request that says where to begin. A
    /// stream that breaks is opened again with the last resume token. With ids it ends when all of them are done, else
    /// never.
    pub fn watch_many(&self, request: impl Into<WatchGenerationsRequest>) -> BoxStream<WatchEvent> {
        follow(&self.calls, Many::new(request.into()), rpc!(GenerationServiceClient.watch_generations))
    }

    /// What it would cost; the input is checked as by `submit`.
    pub async fn estimate(&self, input: impl Into<GenerationInput>) -> Result<EstimateGenerationResponse, Error> {
        let request = EstimateGenerationRequest { input: Some(input.into()) };
        self.calls.unary(request, self.calls.timeout, rpc!(GenerationServiceClient.estimate_generation)).await
    }

    /// Removes what is done; true when Higgsfield has removed its input and files as well.
    pub async fn delete(&self, id: impl Into<String>) -> Result<bool, Error> {
        let request = DeleteGenerationRequest { id: id.into() };
        let call = rpc!(GenerationServiceClient.delete_generation);
        Ok(self.calls.unary(request, self.calls.timeout, call).await?.removed_upstream)
    }

    /// All that happened to it and for it, oldest first: every change, every call to Higgsfield.
    pub async fn explain(&self, id: impl Into<String>) -> Result<ExplainGenerationResponse, Error> {
        let request = ExplainGenerationRequest { id: id.into() };
        self.calls.unary(request, self.calls.timeout, rpc!(GenerationServiceClient.explain_generation)).await
    }

    /// Puts media on Higgsfield's storage through the gateway; the answer's URL serves as an input. Sent once: after an
    /// error the caller, who has the source, uploads again.
    ///
    /// # Errors
    ///
    /// [`Kind::SourceFailed`](crate::Kind) where the source could not be read, besides the gateway's.
    pub async fn upload(
        &self,
        content_type: impl Into<String>,
        media: impl Into<Upload>,
    ) -> Result<UploadMediaResponse, Error> {
        upload::upload(&self.calls, content_type.into(), media.into()).await
    }

    /// An address to PUT media to past the gateway, with all the headers that it names.
    pub async fn create_upload(&self, content_type: impl Into<String>) -> Result<CreateUploadResponse, Error> {
        let request = CreateUploadRequest { content_type: content_type.into() };
        self.calls.unary(request, self.calls.timeout, rpc!(UploadServiceClient.create_upload)).await
    }

    /// A token that may read and watch what matches, and nothing else: for a browser, in place of an API key.
    pub async fn create_watch_token(
        &self,
        request: impl Into<CreateWatchTokenRequest>,
    ) -> Result<CreateWatchTokenResponse, Error> {
        self.calls.unary(request.into(), self.calls.timeout, rpc!(TokenServiceClient.create_watch_token)).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the key, which is a secret.
        formatter.debug_struct("Client").field("timeout", &self.calls.timeout).finish_non_exhaustive()
    }
}
