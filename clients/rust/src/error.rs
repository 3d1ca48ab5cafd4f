//! The errors of the client.

use std::{collections::HashMap, fmt, io, time::Duration};

use prost::{DecodeError, Message};
use prost_types::Any;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::pb;

use crate::v1::{Failure, FieldViolation, Generation, GenerationState, SoulCharacter};

const DOMAIN: &str = "hfgateway";

/// What went wrong.
///
/// There is one kind for each gRPC code, and one for each reason of the gateway. Errors with a reason that is newer
/// than this crate, and errors of the transport, have the kind of their code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// INVALID_ARGUMENT: the gateway's validation refused the request; see the field violations.
    InvalidInput,
    /// Higgsfield refused the input.
    InputRefused,
    /// UNAUTHENTICATED: the API key or watch token is missing, wrong, expired or revoked.
    InvalidCredentials,
    /// PERMISSION_DENIED: the key or token may not make this call.
    NotAllowed,
    /// The Higgsfield account does not have this feature.
    FeatureNotEnabled,
    /// NOT_FOUND: the object does not exist, or belongs to another tenant.
    NotFound,
    /// Higgsfield, or the catalog, does not know the model.
    ModelUnknown,
    /// FAILED_PRECONDITION: the state of the object does not allow the call.
    PreconditionFailed,
    /// Higgsfield has disabled or blocked the model.
    ModelUnavailable,
    /// The idempotency key belongs to another input, or to a deleted generation.
    KeyReused,
    /// It is too late to cancel, or Higgsfield cannot; the metadata has the "state".
    NotCancelable,
    /// The generation has not ended.
    NotDone,
    /// RESOURCE_EXHAUSTED: a limit was reached.
    ResourceExhausted,
    /// The tenant has reached a limit; the retry delay is set if waiting helps.
    QuotaExceeded,
    /// The Higgsfield account has not enough credits.
    InsufficientCredits,
    /// Higgsfield is saturated, and the caller set [`Submit::fail_when_saturated`](crate::Submit::fail_when_saturated).
    UpstreamSaturated,
    /// The gateway is overloaded, or its queue is full. The call had no effect.
    GatewayOverloaded,
    /// UNAVAILABLE, or CANCELLED by the server: the gateway, or something it needs, is not available. The call can be
    /// retried unchanged.
    Unavailable,
    /// Higgsfield sent no usable response.
    UpstreamUnavailable,
    /// The gateway is shutting down, or its store is not available.
    GatewayUnavailable,
    /// ABORTED: the call was aborted.
    Aborted,
    /// The request was sent, but its outcome is unknown. Repeating it with the same key finds the outcome, and never
    /// has a second effect.
    SubmissionUnresolved,
    /// An agent's session is busy with another turn.
    SessionBusy,
    /// INTERNAL: a defect of the gateway; the message has the id of the incident.
    InternalError,
    /// Higgsfield refuses the gateway's credentials. The operator of the gateway must act.
    UpstreamCredentialsRefused,
    /// DEADLINE_EXCEEDED: the call timed out. The generation, if any, continues.
    DeadlineExceeded,
    /// Any other code.
    Other,
    /// Only from `generate`: the generation failed. See [`Error::generation`].
    GenerationFailed,
    /// Only from `generate`: the generation failed before Higgsfield accepted it. It was not charged, and its key can
    /// be used again.
    GenerationRefused,
    /// Only from `generate`: Higgsfield's moderation refused the generation. It was not charged.
    GenerationModerated,
    /// Only from `generate`: a caller canceled the generation, or the gateway did; see the reason. It was not charged.
    GenerationCanceled,
    /// Only from `generate`: the outcome of the generation cannot be determined. It may have been charged.
    GenerationLost,
    /// Only from `train_character`: the training failed. See [`Error::character`].
    TrainingFailed,
    /// Only from `upload`: the source could not be read.
    SourceFailed,
    /// Only from `build`: the address, the API key or a PEM file is invalid.
    InvalidConfiguration,
}

impl Kind {
    /// Returns the kind of the gRPC code, such as [`Kind::PreconditionFailed`] for [`Kind::KeyReused`].
    ///
    /// For ends of a generation it is [`Kind::GenerationFailed`]; other kinds without a code return themselves.
    #[must_use]
    pub fn broader(self) -> Self {
        match self {
            Self::InputRefused => Self::InvalidInput,
            Self::FeatureNotEnabled => Self::NotAllowed,
            Self::ModelUnknown => Self::NotFound,
            Self::ModelUnavailable | Self::KeyReused | Self::NotCancelable | Self::NotDone => Self::PreconditionFailed,
            Self::QuotaExceeded | Self::InsufficientCredits | Self::UpstreamSaturated | Self::GatewayOverloaded => {
                Self::ResourceExhausted
            }
            Self::UpstreamUnavailable | Self::GatewayUnavailable => Self::Unavailable,
            Self::SubmissionUnresolved | Self::SessionBusy => Self::Aborted,
            Self::UpstreamCredentialsRefused => Self::InternalError,
            Self::GenerationRefused | Self::GenerationModerated | Self::GenerationCanceled | Self::GenerationLost => {
                Self::GenerationFailed
            }
            itself => itself,
        }
    }

    fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidInput,
            Code::Unauthenticated => Self::InvalidCredentials,
            Code::PermissionDenied => Self::NotAllowed,
            Code::NotFound => Self::NotFound,
            Code::FailedPrecondition => Self::PreconditionFailed,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::Unavailable | Code::Cancelled => Self::Unavailable,
            Code::Aborted => Self::Aborted,
            Code::Internal => Self::InternalError,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            _ => Self::Other,
        }
    }

    fn of_reason(reason: &str) -> Option<Self> {
        Some(match reason {
            "INVALID_INPUT" => Self::InvalidInput,
            "INPUT_REFUSED" => Self::InputRefused,
            "INVALID_CREDENTIALS" => Self::InvalidCredentials,
            "NOT_ALLOWED" => Self::NotAllowed,
            "FEATURE_NOT_ENABLED" => Self::FeatureNotEnabled,
            "NOT_FOUND" => Self::NotFound,
            "MODEL_UNKNOWN" => Self::ModelUnknown,
            "MODEL_UNAVAILABLE" => Self::ModelUnavailable,
            "IDEMPOTENCY_KEY_REUSED" => Self::KeyReused,
            "NOT_CANCELABLE" => Self::NotCancelable,
            "NOT_DONE" => Self::NotDone,
            "QUOTA_EXCEEDED" => Self::QuotaExceeded,
            "INSUFFICIENT_CREDITS" => Self::InsufficientCredits,
            "UPSTREAM_SATURATED" => Self::UpstreamSaturated,
            "GATEWAY_OVERLOADED" => Self::GatewayOverloaded,
            "UPSTREAM_UNAVAILABLE" => Self::UpstreamUnavailable,
            "GATEWAY_UNAVAILABLE" => Self::GatewayUnavailable,
            "UPSTREAM_CREDENTIALS_REFUSED" => Self::UpstreamCredentialsRefused,
            "INTERNAL" => Self::InternalError,
            "SUBMISSION_UNRESOLVED" => Self::SubmissionUnresolved,
            "SESSION_BUSY" => Self::SessionBusy,
            _ => return None,
        })
    }

    fn of_end(generation: &Generation) -> Self {
        match generation.state() {
            GenerationState::Failed if generation.accept_time.is_none() => Self::GenerationRefused,
            GenerationState::Nsfw => Self::GenerationModerated,
            GenerationState::Canceled => Self::GenerationCanceled,
            GenerationState::Lost => Self::GenerationLost,
            _ => Self::GenerationFailed,
        }
    }
}

/// A failed call, or the error of a generation or training that ended without success.
///
/// Use [`Error::kind`] or [`Error::reason`] to make decisions; the message is a text for people, which may change.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: Option<Code>,
    reason: String,
    message: String,
    failure: Failure,
    retry_delay: Option<Duration>,
    idempotency_key: String,
    generation: Option<Generation>,
    character: Option<SoulCharacter>,
    address: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Returns what went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns the gRPC code, or `None` if no call failed.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.0.code
    }

    /// Returns the gateway's reason, such as "QUOTA_EXCEEDED", even if it is newer than this crate. It is "" for errors
    /// of the transport.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Returns a text for people, which may change.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the fields that were refused.
    #[must_use]
    pub fn field_violations(&self) -> &[FieldViolation] {
        &self.0.failure.field_violations
    }

    /// Returns whether the same input may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.0.failure.retryable || self.0.kind.broader() == Kind::Unavailable
    }

    /// Returns how long to wait before a retry, if it is known.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_delay
    }

    /// Returns the variable parts of the message, such as "generation_id" and "limit".
    #[must_use]
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.0.failure.metadata
    }

    /// Returns the JSON of Higgsfield's response that is the reason of the error, if there is one.
    #[must_use]
    pub fn upstream_response(&self) -> Option<&prost_types::Value> {
        self.0.failure.upstream_response.as_ref()
    }

    /// Returns the key of a failed submission or creation, or "". Retrying with this key never has a second effect.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.0.idempotency_key
    }

    /// Returns the generation that ended without output. Only for [`Kind::GenerationFailed`] and the kinds below it.
    #[must_use]
    pub fn generation(&self) -> Option<&Generation> {
        self.0.generation.as_ref()
    }

    /// Returns the character whose training failed. Only for [`Kind::TrainingFailed`].
    #[must_use]
    pub fn character(&self) -> Option<&SoulCharacter> {
        self.0.character.as_ref()
    }

    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.0.idempotency_key = key.to_owned();
        self
    }

    /// Adds the gateway's address to an error of the connection, and to a timeout the failure before it.
    pub(crate) fn at(mut self, address: &str, before: Option<&str>) -> Self {
        let inner = &mut self.0;
        if inner.reason.is_empty() && matches!(inner.code, Some(Code::Unavailable | Code::DeadlineExceeded)) {
            inner.address = address.to_owned();
        }
        if let (Some(Code::DeadlineExceeded), Some(text)) = (inner.code, before) {
            inner.message = format!("{}; before that: {text}", inner.message);
        }
        self
    }

    /// Returns the causes of an error of the connection that the message does not contain, and the gateway's address.
    fn connection(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.0.address.is_empty() {
            // The first source is the status, whose message is the error's.
            let mut source = std::error::Error::source(self).and_then(|status| status.source());
            while let Some(error) = source {
                let text = error.to_string();
                if !self.message().contains(&text) && !found.contains(&text) {
                    found.push(text);
                }
                source = error.source();
            }
            found.push(format!("gateway at {}", self.0.address));
        }
        found
    }

    pub(crate) fn deadline_exceeded() -> Self {
        Self::bare(Kind::DeadlineExceeded, Some(Code::DeadlineExceeded), "the call timed out".to_owned())
    }

    pub(crate) fn source_failed(error: io::Error) -> Self {
        Self::bare(Kind::SourceFailed, None, error.to_string()).caused_by(error)
    }

    pub(crate) fn configuration(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::bare(Kind::InvalidConfiguration, None, format!("{what}: {error}")).caused_by(error)
    }

    /// Returns the error of a generation that ended without output.
    pub(crate) fn ended(generation: Generation) -> Self {
        let failure = generation.failure.clone().unwrap_or_default();
        let message = match failure.message.as_str() {
            "" => format!("ended as {}", generation.state_name()),
            text => text.to_owned(),
        };
        Self(Box::new(Inner {
            reason: failure.reason_name().into_owned(),
            retry_delay: delay_of(&failure),
            failure,
            idempotency_key: generation.idempotency_key.clone(),
            generation: Some(generation.clone()),
            ..*Self::bare(Kind::of_end(&generation), None, message).0
        }))
    }

    /// Returns the error of a character whose training did not complete.
    pub(crate) fn untrained(character: SoulCharacter) -> Self {
        let failure = character.failure.clone().unwrap_or_default();
        let message = match failure.message.as_str() {
            "" => format!("ended as {}", character.state_name()),
            text => text.to_owned(),
        };
        Self(Box::new(Inner {
            reason: failure.reason_name().into_owned(),
            retry_delay: delay_of(&failure),
            failure,
            character: Some(character),
            ..*Self::bare(Kind::TrainingFailed, None, message).0
        }))
    }

    fn bare(kind: Kind, code: Option<Code>, message: String) -> Self {
        Self(Box::new(Inner {
            kind,
            code,
            reason: String::new(),
            message,
            failure: Failure::default(),
            retry_delay: None,
            idempotency_key: String::new(),
            generation: None,
            character: None,
            address: String::new(),
            source: None,
        }))
    }

    fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let code = code_of(&status);
        let (failure, reason) = read_details(status.details()).unwrap_or_default();
        let message = [failure.message.as_str(), status.message()].into_iter().find(|text| !text.is_empty());
        Self(Box::new(Inner {
            kind: Kind::of_reason(&reason).unwrap_or(Kind::of_code(code)),
            code: Some(code),
            message: message.map_or_else(|| code_name(code).replace('_', " ").to_lowercase(), str::to_owned),
            reason,
            retry_delay: delay_of(&failure),
            failure,
            source: Some(Box::new(status)),
            ..*Self::bare(Kind::Other, None, String::new()).0
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.reason(), self.code()) {
            ("", Some(code)) => write!(formatter, "{}", code_name(code))?,
            ("", None) => write!(formatter, "{:?}", self.kind())?,
            (reason, _) => write!(formatter, "{reason}")?,
        }
        write!(formatter, ": {}", self.message())?;
        // The message already has the description of a single field.
        let news = |violation: &&FieldViolation| !self.message().contains(&violation.description);
        let fields = self.field_violations().iter().filter(news);
        let fields = fields.map(|one| format!("{}: {}", one.field, one.description));
        let texts: Vec<_> = fields.chain(self.connection()).collect();
        if texts.is_empty() { Ok(()) } else { write!(formatter, " ({})", texts.join("; ")) }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Error({:?}, {self})", self.kind())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Returns the gateway's code. A status with a source was created by tonic because the connection failed. Its code is
/// mostly UNKNOWN, and CANCELLED for tonic's own timeout.
fn code_of(status: &Status) -> Code {
    let mut source = std::error::Error::source(status);
    if source.is_none() {
        return status.code();
    }
    while let Some(error) = source {
        if error.is::<TimeoutExpired>() {
            return Code::DeadlineExceeded;
        }
        source = error.source();
    }
    Code::Unavailable
}

fn delay_of(failure: &Failure) -> Option<Duration> {
    // Ignore a negative delay.
    failure.retry_delay.map(|delay| Duration::try_from(delay).unwrap_or_default())
}

/// Returns the name of a code, such as "INVALID_ARGUMENT".
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// Returns the `Failure` and the name of its reason.
///
/// `ErrorInfo` takes precedence for the name, because it also has reasons that are newer than this crate. If there is
/// no `Failure` (an error of a proxy), it is built from the standard details.
fn read_details(details: &[u8]) -> Result<(Failure, String), DecodeError> {
    let mut found = None;
    let mut standard = Failure::default();
    let mut reason = String::new();
    for detail in pb::Status::decode(details)?.details {
        if let Some(failure) = unpacked::<Failure>(&detail, "hfgateway.v1.Failure")? {
            found = Some(failure);
        } else if let Some(info) = unpacked::<pb::ErrorInfo>(&detail, "google.rpc.ErrorInfo")? {
            if info.domain == DOMAIN {
                reason = info.reason;
                standard.metadata.extend(info.metadata);
            }
        } else if let Some(refused) = unpacked::<pb::BadRequest>(&detail, "google.rpc.BadRequest")? {
            let violations = refused.field_violations.into_iter();
            let ours = violations.map(|one| FieldViolation { field: one.field, description: one.description });
            standard.field_violations.extend(ours);
        } else if let Some(retry) = unpacked::<pb::RetryInfo>(&detail, "google.rpc.RetryInfo")? {
            standard.retry_delay = retry.retry_delay;
        }
    }
    let Some(failure) = found else { return Ok((standard, reason)) };
    if reason.is_empty() {
        reason = failure.reason_name().into_owned();
    }
    Ok((failure, reason))
}

fn unpacked<M: Message + Default>(detail: &Any, name: &str) -> Result<Option<M>, DecodeError> {
    match detail.type_url.rsplit('/').next() {
        Some(found) if found == name => M::decode(detail.value.as_slice()).map(Some),
        _ => Ok(None),
    }
}
