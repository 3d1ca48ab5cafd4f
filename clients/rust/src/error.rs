//! Every way in which a call, or a generation, can go wrong.

use std::{collections::HashMap, fmt, io, time::Duration};

use prost::{DecodeError, Message};
use prost_types::Any;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::pb;

use crate::v1::{Failure, FieldViolation, Generation, GenerationState, SoulCharacter};

const DOMAIN: &str = "hfgateway";

/// What an error means. There is one for each gRPC code, and one for each reason that the gateway gives; an error whose
/// reason is newer than this crate has the kind of its code, and so do those that the transport made itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// INVALID_ARGUMENT: the gateway's own check refused the request; the field violations name the fields.
    InvalidInput,
    /// Higgsfield's check refused the input.
    InputRefused,
    /// UNAUTHENTICATED: no API key, or one that is wrong, expired or revoked.
    InvalidCredentials,
    /// PERMISSION_DENIED: the API key may not do this.
    NotAllowed,
    /// The Higgsfield account does not have this feature.
    FeatureNotEnabled,
    /// NOT_FOUND: it does not exist, or belongs to another tenant.
    NotFound,
    /// Higgsfield does not know the model.
    ModelUnknown,
    /// FAILED_PRECONDITION: not in the state that it is in.
    PreconditionFailed,
    /// The model is disabled or blocked at Higgsfield.
    ModelUnavailable,
    /// The idempotency key stands for a different input, or for a deleted generation.
    KeyReused,
    /// Too late to cancel, or Higgsfield cannot; the metadata's "state" names the state.
    NotCancelable,
    /// It has not ended yet.
    NotDone,
    /// RESOURCE_EXHAUSTED: a limit was reached.
    ResourceExhausted,
    /// The tenant's own limit; the retry delay is set where time helps.
    QuotaExceeded,
    /// The Higgsfield account has no credits left.
    InsufficientCredits,
    /// Higgsfield is full, and the caller asked not to queue.
    UpstreamSaturated,
    /// The gateway sheds load, or its queue is full; nothing was done.
    GatewayOverloaded,
    /// UNAVAILABLE, and CANCELLED by the other side: not reachable, or not now. The same call may be repeated as it is.
    Unavailable,
    /// Higgsfield does not answer, or not sensibly.
    UpstreamUnavailable,
    /// The gateway is draining, or its store is away.
    GatewayUnavailable,
    /// ABORTED: given up half way.
    Aborted,
    /// Sent, and no answer came: the same submit with the same key finds out, and never does it twice.
    SubmissionUnresolved,
    /// An agent's session is busy with another turn.
    SessionBusy,
    /// INTERNAL: a defect of the gateway; the message names the incident.
    InternalError,
    /// Higgsfield refuses the gateway's credentials: its operator must act.
    UpstreamCredentialsRefused,
    /// DEADLINE_EXCEEDED: the call's own time ran out. What it was about goes on.
    DeadlineExceeded,
    /// Any other code.
    Other,
    /// Of `generate` alone: Higgsfield ended it as failed. [`Error::generation`] holds all about it.
    GenerationFailed,
    /// Of `generate` alone: Higgsfield never accepted it. Nothing was charged, and its key may be used again.
    GenerationRefused,
    /// Of `generate` alone: refused by Higgsfield's moderation; not charged.
    GenerationModerated,
    /// Of `generate` alone: canceled, by a caller or (see the reason) by the gateway; not charged.
    GenerationCanceled,
    /// Of `generate` alone: it cannot be told what became of it. It may have been charged.
    GenerationLost,
    /// Of `train_character` alone: training failed. [`Error::character`] holds all about it.
    TrainingFailed,
    /// Of `upload` alone: what was to be uploaded could not be read.
    SourceFailed,
    /// No client can be made so: its address, its API key or a PEM file.
    InvalidConfiguration,
}

impl Kind {
    /// The kind of its gRPC code: [`Kind::PreconditionFailed`] for [`Kind::KeyReused`]. Those without a code have
    /// themselves, and all ends of a generation [`Kind::GenerationFailed`].
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

/// A call that the gateway, or the way to it, did not carry out; or, from `generate`, a generation without output.
///
/// Decide by [`Error::kind`] or [`Error::reason`]; the message is for people and may change.
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
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// What it means.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The gRPC code; `None` where no call failed.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.0.code
    }

    /// The gateway's word for it, such as "QUOTA_EXCEEDED", also one that is newer than this crate; "" for an error of
    /// the transport.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// For people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The fields that were refused.
    #[must_use]
    pub fn field_violations(&self) -> &[FieldViolation] {
        &self.0.failure.field_violations
    }

    /// Whether the same input may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        self.0.failure.retryable || self.0.kind.broader() == Kind::Unavailable
    }

    /// How long to wait before that, where it is known.
    #[must_use]
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_delay
    }

    /// The variable parts of the message, such as "generation_id" and "limit".
    #[must_use]
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.0.failure.metadata
    }

    /// The key of a submit or a creation that failed: repeat with it, and nothing is done twice. Else "".
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.0.idempotency_key
    }

    /// What ended without output; of the kinds below [`Kind::GenerationFailed`] alone.
    #[must_use]
    pub fn generation(&self) -> Option<&Generation> {
        self.0.generation.as_ref()
    }

    /// What was trained in vain; of [`Kind::TrainingFailed`] alone.
    #[must_use]
    pub fn character(&self) -> Option<&SoulCharacter> {
        self.0.character.as_ref()
    }

    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.0.idempotency_key = key.to_owned();
        self
    }

    pub(crate) fn deadline_exceeded() -> Self {
        Self::bare(Kind::DeadlineExceeded, Some(Code::DeadlineExceeded), "the call's time ran out".to_owned())
    }

    pub(crate) fn source_failed(error: io::Error) -> Self {
        Self::bare(Kind::SourceFailed, None, error.to_string()).caused_by(error)
    }

    pub(crate) fn configuration(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::bare(Kind::InvalidConfiguration, None, format!("{what}: {error}")).caused_by(error)
    }

    /// The error of a generation that ended, and not as COMPLETED.
    pub(crate) fn ended(generation: Generation) -> Self {
        let failure = generation.failure.clone().unwrap_or_default();
        let message = match failure.message.as_str() {
            "" => format!("ended as {}", generation.state_name()),
            told => told.to_owned(),
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

    /// The error of a character whose training ended, and not as COMPLETED.
    pub(crate) fn untrained(character: SoulCharacter) -> Self {
        let failure = character.failure.clone().unwrap_or_default();
        let message = match failure.message.as_str() {
            "" => format!("ended as {}", character.state_name()),
            told => told.to_owned(),
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
        // Where only one field is wrong, the message says it all.
        let news = |violation: &&FieldViolation| !self.message().contains(&violation.description);
        let fields = self.field_violations().iter().filter(news);
        let told: Vec<_> = fields.map(|one| format!("{}: {}", one.field, one.description)).collect();
        if told.is_empty() { Ok(()) } else { write!(formatter, " ({})", told.join("; ")) }
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

/// The gateway's code. A status with a source was made on this side, because the way to the gateway broke: tonic leaves
/// most of these at UNKNOWN, and calls its own time-out CANCELLED.
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
    // A negative one is none at all.
    failure.retry_delay.map(|delay| Duration::try_from(delay).unwrap_or_default())
}

/// "INVALID_ARGUMENT" and so on.
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

/// The `Failure` and the name of its reason.
///
/// The name is `ErrorInfo`'s where there is one: it is right for reasons, too, that this crate does not know. A
/// `Failure` that is missing (a proxy's own error) is put together from the standard details.
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
        Some(told) if told == name => M::decode(detail.value.as_slice()).map(Some),
        _ => Ok(None),
    }
}
