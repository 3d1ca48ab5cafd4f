//! The options and the result of a submission.

use std::time::Duration;

use crate::{
    inputs::duration,
    v1::{FieldViolation, Generation, GenerationInput, SubmitGenerationRequest, WaitFor},
};

/// An input to submit, with options. Every input converts into it.
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to `Client::submit` or `Client::generate`"]
pub struct Submit {
    pub(crate) request: SubmitGenerationRequest,
    pub(crate) key: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) forecast_interval: Option<Duration>,
}

impl Submit {
    /// Submits the input with the default options.
    pub fn new(input: impl Into<GenerationInput>) -> Self {
        let input = Some(input.into());
        Self { request: SubmitGenerationRequest { input, ..Default::default() }, ..Default::default() }
    }

    /// Sets the idempotency key. Default: a new UUID.
    ///
    /// Use one key for each generation that you want, such as an order number, and the same key for every retry.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Adds a label, which lists and watches can filter by. At most 32.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.labels.insert(key.into(), value.into());
        self
    }

    /// Sets when `submit` returns. Default: when Higgsfield has accepted or refused the generation. `generate` ignores
    /// it.
    pub fn wait_for(mut self, wait_for: WaitFor) -> Self {
        self.request.wait_for = wait_for.into();
        self
    }

    /// Limits how long `submit` waits for that, up to 1 hour, in addition to the timeout. Default: 10 s.
    ///
    /// At the end of the wait, the generation is returned as it is. `generate` ignores it.
    pub fn wait_timeout(mut self, time: Duration) -> Self {
        self.request.wait_timeout = Some(duration(time));
        self
    }

    /// Makes the gateway cancel the generation if it has not started within `time`. Default: no limit.
    pub fn start_timeout(mut self, time: Duration) -> Self {
        self.request.start_timeout = Some(duration(time));
        self
    }

    /// Fails with UPSTREAM_SATURATED if Higgsfield is saturated, instead of queueing in the gateway.
    pub fn fail_when_saturated(mut self) -> Self {
        self.request.fail_when_saturated = true;
        self
    }

    /// Makes Higgsfield delete the outputs after `time`, at least 1 hour. Default and maximum: the setting of the
    /// Higgsfield account.
    pub fn outputs_ttl(mut self, time: Duration) -> Self {
        self.request.outputs_ttl = Some(duration(time));
        self
    }

    /// Sets where signed deliveries about it are sent. The tenant must have a callback without a URL. Default: none.
    pub fn callback_url(mut self, url: impl Into<String>) -> Self {
        self.request.callback_url = url.into();
        self
    }

    /// Limits the call, including retries. Default: the client's timeout for `submit`, and no limit for `generate`.
    ///
    /// The generation continues after a timeout.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Sets after how long without a change `generate` reports a newer forecast, at least 1 s. Default: 2 s; zero turns
    /// forecasts off.
    pub fn forecast_interval(mut self, time: Duration) -> Self {
        self.forecast_interval = Some(time);
        self
    }

    /// Returns the request with its key, and the time that the gateway may wait before it responds.
    pub(crate) fn into_request(self) -> (SubmitGenerationRequest, Duration) {
        let idempotency_key = self.key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let waits = self.request.wait_timeout.and_then(|time| time.try_into().ok()).unwrap_or_default();
        (SubmitGenerationRequest { idempotency_key, ..self.request }, waits)
    }
}

impl<T: Into<GenerationInput>> From<T> for Submit {
    fn from(input: T) -> Self {
        Self::new(input)
    }
}

/// The result of [`Client::submit`](crate::Client::submit).
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The generation, as it was when the call returned.
    pub generation: Generation,
    /// The key of the submission. Submitting again with this key returns the same generation.
    pub idempotency_key: String,
    /// Whether the key had been used before, so that the call started and charged nothing.
    pub replayed: bool,
    /// Fields of the input that may be wrong.
    pub warnings: Vec<FieldViolation>,
}

impl Submission {
    /// Returns the id of the generation.
    pub fn id(&self) -> &str {
        &self.generation.id
    }
}
