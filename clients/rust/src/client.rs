//! The client.

use std::{fmt, time::Duration};

use crate::{
    builder::Builder,
    calls::{Calls, rpc, within},
    error::Error,
    inputs::duration,
    retry::RetryPolicy,
    submit::{Submission, Submit},
    upload::{self, Upload},
    v1::{
        Generation, GenerationState, ListGenerationsRequest, SubmitGenerationResponse, UploadMediaResponse, WaitFor,
        WatchGenerationRequest, generation_service_client::GenerationServiceClient,
    },
    watching::last,
};

const FORECAST_INTERVAL: Duration = Duration::from_secs(2);

/// A client of a gateway, which can be used for any number of concurrent calls.
///
/// Clones share one connection, which is closed when the last one is dropped. Futures and streams can be dropped at any
/// time: this ends the call at the gateway, but never cancels the generation.
///
/// The connection belongs to the tokio runtime in which the client was built: after its end, calls in another runtime
/// fail with [`Kind::Unavailable`](crate::Kind). Build a client for each runtime, so for each `#[tokio::test]`.
#[derive(Clone)]
pub struct Client {
    pub(crate) calls: Calls,
}

impl Client {
    /// Returns a builder of a client for the gateway at `host:port`.
    pub fn builder(address: impl Into<String>) -> Builder {
        Builder::new(address)
    }

    pub(crate) fn new(calls: Calls) -> Self {
        Self { calls }
    }

    /// Returns the same client with another timeout for calls that return one response.
    #[must_use]
    pub fn with_timeout(&self, time: Duration) -> Self {
        let mut client = self.clone();
        client.calls.timeout = time;
        client
    }

    /// Closes the client and its clones: calls in progress and later calls fail with
    /// [`Kind::ClientClosed`](crate::Kind), except those of [`Client::agents`]. Dropping all clones closes the connection.
    pub fn close(&self) {
        self.calls.open.close();
    }

    /// Returns whether the gateway is ready for calls with the client's key.
    ///
    /// It makes one call of at most 10 s and does not retry it: an error has the cause and the address, and comes at
    /// once. The key needs the scope `read`.
    pub async fn check(&self) -> Result<(), Error> {
        let retry = RetryPolicy { repeat_calls_for: Some(Duration::ZERO), ..self.calls.retry.clone() };
        let once = Calls { retry, ..self.calls.clone() };
        let request = ListGenerationsRequest { page_size: 1, ..Default::default() };
        once.unary(request, Duration::from_secs(10), rpc!(GenerationServiceClient.list_generations)).await?;
        Ok(())
    }

    /// Submits a generation. By default it returns when Higgsfield has accepted it.
    ///
    /// Retries use the same idempotency key, so that it is charged once.
    ///
    /// Every error has the key ([`Error::idempotency_key`]), with which the call can be repeated. A dropped future returns
    /// none: set [`Submit::key`] if you may drop it.
    pub async fn submit(&self, submit: impl Into<Submit>) -> Result<Submission, Error> {
        let submit = submit.into();
        let timeout = submit.timeout.unwrap_or(self.calls.timeout);
        let (request, waits) = submit.into_request();
        let idempotency_key = request.idempotency_key.clone();
        let call = rpc!(GenerationServiceClient.submit_generation);
        // The wait is added to the timeout, which might otherwise end first.
        let response = self.calls.unary(request, timeout.saturating_add(waits), call).await;
        let SubmitGenerationResponse { generation, replayed, warnings, .. } =
            response.map_err(|error| error.with_key(&idempotency_key))?;
        Ok(Submission { generation: generation.unwrap_or_default(), idempotency_key, replayed, warnings })
    }

    /// Submits a generation, watches it until it ends, and returns it COMPLETED.
    ///
    /// Calls `seen` with the stored generation, with every change, and with the same revision and a newer forecast when
    /// nothing else happened for [`Submit::forecast_interval`]. Never submits a second generation.
    ///
    /// [`Kind::GenerationFailed`](crate::Kind), or one of the kinds below it, if the generation ends without output.
    /// [`Kind::DeadlineExceeded`](crate::Kind) after [`Submit::timeout`]; the generation continues. Every error has the
    /// key.
    pub async fn generate(
        &self,
        submit: impl Into<Submit>,
        mut seen: impl FnMut(&Generation),
    ) -> Result<Generation, Error> {
        let mut submit = submit.into().wait_for(WaitFor::Stored);
        submit.request.wait_timeout = None; // it would be added to the timeout
        let timeout = submit.timeout;
        let interval = submit.forecast_interval.unwrap_or(FORECAST_INTERVAL);
        let forecast_interval = (!interval.is_zero()).then(|| duration(interval));
        let deadline = timeout.and_then(|time| self.calls.after(time));
        submit.timeout = timeout.map(|time| time.min(self.calls.timeout));
        let Submission { mut generation, idempotency_key, warnings, .. } = self.submit(submit).await?;
        warnings.iter().for_each(|warning| (self.calls.on_warning)(warning));
        seen(&generation);
        if !generation.done {
            let remaining = deadline.map(|end| end.saturating_duration_since(self.calls.timers.now()));
            let after_revision = generation.revision;
            let id = generation.id.as_str().into();
            let request = WatchGenerationRequest { after_revision, forecast_interval, ..id };
            let changes = self.watch_from(request, Some(generation.clone()), deadline);
            let ended = within(remaining, last(generation, changes, seen)).await;
            let ended = ended.map_err(|error| self.calls.describe(error, None)).and_then(|result| result);
            generation = ended.map_err(|error| error.with_key(&idempotency_key))?;
        }
        match generation.state() {
            GenerationState::Completed => Ok(generation),
            _ => Err(Error::ended(generation)),
        }
    }

    /// Uploads media to Higgsfield's storage through the gateway; use the returned URL in an input.
    ///
    /// `content_type` is a media type such as "image/png". A failed upload is not retried, because the source may not
    /// be readable twice.
    ///
    /// [`Kind::SourceFailed`](crate::Kind) if the source cannot be read.
    pub async fn upload(
        &self,
        content_type: impl Into<String>,
        media: impl Into<Upload>,
    ) -> Result<UploadMediaResponse, Error> {
        upload::upload(&self.calls, content_type.into(), media.into()).await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Leave out the API key.
        formatter.debug_struct("Client").field("timeout", &self.calls.timeout).finish_non_exhaustive()
    }
}
