//! What a submit says, and what it answers with.

use std::time::Duration;

use crate::{
    inputs::duration,
    v1::{DopInput, Generation, GenerationInput, ModelInput, SoulInput, SpeakInput, SubmitGenerationRequest, WaitFor},
};

/// An input to submit, and how; every input is one by itself.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing is submitted before a client is given it"]
pub struct Submit {
    pub(crate) request: SubmitGenerationRequest,
    pub(crate) key: Option<String>,
    pub(crate) timeout: Option<Duration>,
}

impl Submit {
    /// The input alone: the gateway's defaults, and a key that is made when it is submitted.
    pub fn new(input: impl Into<GenerationInput>) -> Self {
        let input = Some(input.into());
        Self { request: SubmitGenerationRequest { input, ..Default::default() }, ..Default::default() }
    }

    /// The idempotency key: one for each generation that is meant, such as an order's number.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// One more of the caller's own key-values.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.request.labels.insert(key.into(), value.into());
        self
    }

    /// What `submit` answers with: ACCEPTED unless given. `generate` has its own.
    pub fn wait_for(mut self, wait_for: WaitFor) -> Self {
        self.request.wait_for = wait_for.into();
        self
    }

    /// For how long the gateway holds the answer back until then: 10 s unless given. It comes on top of the time-out.
    pub fn wait_timeout(mut self, time: Duration) -> Self {
        self.request.wait_timeout = Some(duration(time));
        self
    }

    /// The gateway cancels it when it has not started by then.
    pub fn start_timeout(mut self, time: Duration) -> Self {
        self.request.start_timeout = Some(duration(time));
        self
    }

    /// Refuse with UPSTREAM_SATURATED instead of queueing at the gateway.
    pub fn fail_when_saturated(mut self) -> Self {
        self.request.fail_when_saturated = true;
        self
    }

    /// Have Higgsfield delete the outputs earlier.
    pub fn outputs_ttl(mut self, time: Duration) -> Self {
        self.request.outputs_ttl = Some(duration(time));
        self
    }

    /// The deadline of `submit`, repeats included, in place of the client's; of `generate`, which else takes as long as
    /// it takes. It ends the call, not the generation.
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// The request with its key, and the time that the gateway was asked to take over its answer.
    pub(crate) fn into_request(self) -> (SubmitGenerationRequest, Duration) {
        let idempotency_key = self.key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let waits = self.request.wait_timeout.and_then(|time| time.try_into().ok()).unwrap_or_default();
        (SubmitGenerationRequest { idempotency_key, ..self.request }, waits)
    }
}

macro_rules! submits {
    ($($input:ident),*) => {$(
        impl From<$input> for Submit {
            fn from(input: $input) -> Self {
                Self::new(input)
            }
        }
    )*};
}
submits!(GenerationInput, SoulInput, DopInput, SpeakInput, ModelInput);

/// What a submit answers with.
#[derive(Clone, Debug, PartialEq)]
pub struct Submission {
    /// The generation that now exists for the key.
    pub generation: Generation,
    /// Submit with it again, and this generation comes back.
    pub idempotency_key: String,
    /// The key was known: nothing new was started, nothing is charged twice.
    pub replayed: bool,
}

impl Submission {
    /// The generation's.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.generation.id
    }
}
