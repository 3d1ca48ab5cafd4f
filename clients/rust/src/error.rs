//! The errors of the client.

use std::{collections::HashMap, fmt, io, iter, time::Duration};

use prost::Message;
use tonic::{Code, Status, TimeoutExpired};
use tonic_types::{StatusExt, pb};

use crate::{
    inputs::duration,
    kind::{Kind, code_name},
    v1::{Failure, FieldViolation, Generation, GenerationState, SoulCharacter},
};

const DOMAIN: &str = "hfgateway";

// Causes of failed connections that a retry cannot change: an unknown name, an untrusted certificate or one for another
// name, and a gateway without TLS. A refused connection is none, because the gateway may be starting.
const MISTAKES: [&str; 3] =
    ["failed to lookup address", "invalid peer certificate", "received corrupt message of type InvalidContentType"];

// What glibc and musl say if a name cannot be looked up for the moment.
const MOMENTARY: [&str; 2] = ["Temporary failure in name resolution", "Try again"];

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed call, or the error of a generation or training that ended without success.
///
/// Use [`Error::kind`] or [`Error::reason`] to make decisions; the message is a text for people, which may change.
pub struct Error(Box<Inner>);

#[derive(Default)]
struct Inner {
    kind: Kind,
    code: Option<Code>,
    reason: String,
    message: String,
    failure: Failure,
    idempotency_key: String,
    generation: Option<Generation>,
    character: Option<SoulCharacter>,
    address: String,
    mistake: bool,
    source: Option<Source>,
}

impl Error {
    /// Returns what went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Returns the gRPC code, or `None` if no call failed.
    pub fn code(&self) -> Option<Code> {
        self.0.code
    }

    /// Returns the gateway's reason, such as "QUOTA_EXCEEDED", even if it is newer than this crate. It is "" for errors
    /// of the transport.
    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    /// Returns a text for people, which may change.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the fields that were refused.
    pub fn field_violations(&self) -> &[FieldViolation] {
        &self.0.failure.field_violations
    }

    /// Returns whether the same input may succeed later.
    pub fn retryable(&self) -> bool {
        self.0.failure.retryable || (self.0.kind.broader() == Kind::Unavailable && !self.0.mistake)
    }

    /// Returns how long to wait before a retry, if it is known.
    pub fn retry_delay(&self) -> Option<Duration> {
        // Ignore a negative delay.
        self.0.failure.retry_delay.map(|delay| Duration::try_from(delay).unwrap_or_default())
    }

    /// Returns the variable parts of the message, such as "generation_id" and "limit".
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.0.failure.metadata
    }

    /// Returns the JSON of Higgsfield's response that is the reason of the error, if there is one.
    pub fn upstream_response(&self) -> Option<&prost_types::Value> {
        self.0.failure.upstream_response.as_ref()
    }

    /// Returns the key of a failed submission or creation, or "". Retrying with this key never has a second effect.
    pub fn idempotency_key(&self) -> &str {
        &self.0.idempotency_key
    }

    /// Returns the generation that ended without output. Only for [`Kind::GenerationFailed`] and the kinds below it.
    pub fn generation(&self) -> Option<&Generation> {
        self.0.generation.as_ref()
    }

    /// Returns the character whose training failed. Only for [`Kind::TrainingFailed`].
    pub fn character(&self) -> Option<&SoulCharacter> {
        self.0.character.as_ref()
    }

    pub(crate) fn with_key(mut self, key: &str) -> Self {
        self.0.idempotency_key = key.to_owned();
        self
    }

    /// Adds the gateway's address to an error of the connection, and to a timeout the failure before it. Until the
    /// gateway was reached, a failed connection may be a mistake in the client's options.
    pub(crate) fn at(mut self, address: &str, reached: bool, before: Option<&str>) -> Self {
        let inner = &mut self.0;
        if inner.reason.is_empty() && matches!(inner.kind, Kind::Unavailable | Kind::DeadlineExceeded) {
            inner.address = address.to_owned();
        }
        if let (Some(Code::DeadlineExceeded), Some(text)) = (inner.code, before) {
            inner.message = format!("{}; before that: {text}", inner.message);
        }
        let has = |text: &str, causes: &[&str]| causes.iter().any(|cause| text.contains(cause));
        let is_mistake = |text: String| has(&text, &MISTAKES) && !has(&text, &MOMENTARY);
        self.0.mistake = !reached && self.causes().any(is_mistake);
        self
    }

    /// Adds the message of an error after this one.
    pub(crate) fn then(mut self, error: &Error) -> Self {
        self.0.message = format!("{}; then: {}", self.message(), error.message());
        self
    }

    /// Whether a retry cannot change the cause.
    pub(crate) fn is_mistake(&self) -> bool {
        self.0.mistake
    }

    /// Returns the texts of the causes of an error of the connection.
    fn causes(&self) -> impl Iterator<Item = String> {
        // The first source is the status, whose message is the error's.
        let first = std::error::Error::source(self).and_then(|status| status.source());
        iter::successors(first, |error| error.source()).map(ToString::to_string)
    }

    /// Returns the causes of an error of the connection that the message does not contain, and the gateway's address.
    fn connection(&self) -> Vec<String> {
        if self.0.address.is_empty() {
            return Vec::new();
        }
        let causes = self.causes().filter(|text| !self.message().contains(text));
        causes.chain([format!("gateway at {}", self.0.address)]).collect()
    }

    pub(crate) fn deadline_exceeded() -> Self {
        Self::bare(Kind::DeadlineExceeded, Some(Code::DeadlineExceeded), "the call timed out".to_owned())
    }

    pub(crate) fn closed() -> Self {
        Self::bare(Kind::ClientClosed, Some(Code::Cancelled), "the client is closed".to_owned())
    }

    pub(crate) fn source_failed(error: io::Error) -> Self {
        Self::bare(Kind::SourceFailed, None, error.to_string()).caused_by(error)
    }

    pub(crate) fn configuration(what: &str, error: impl Into<Source>) -> Self {
        let source = error.into();
        // tonic's own text is only "transport error".
        let causes = iter::successors(source.source(), |cause| cause.source()).map(|cause| format!(": {cause}"));
        let message = format!("{what}: {source}{}", causes.collect::<String>());
        Self::bare(Kind::InvalidConfiguration, None, message).caused_by(source)
    }

    /// Returns the error of a generation that ended without output.
    pub(crate) fn ended(generation: Generation) -> Self {
        let kind = match generation.state() {
            GenerationState::Failed if generation.accept_time.is_none() => Kind::GenerationRefused,
            GenerationState::Nsfw => Kind::GenerationModerated,
            GenerationState::Canceled => Kind::GenerationCanceled,
            GenerationState::Lost => Kind::GenerationLost,
            _ => Kind::GenerationFailed,
        };
        let mut error = Self::unsuccessful(kind, generation.failure.clone(), &generation.state_name());
        error.0.idempotency_key.clone_from(&generation.idempotency_key);
        error.0.generation = Some(generation);
        error
    }

    /// Returns the error of a character whose training did not complete.
    pub(crate) fn untrained(character: SoulCharacter) -> Self {
        let mut error = Self::unsuccessful(Kind::TrainingFailed, character.failure.clone(), &character.state_name());
        error.0.character = Some(character);
        error
    }

    fn unsuccessful(kind: Kind, failure: Option<Failure>, state: &str) -> Self {
        let failure = failure.unwrap_or_default();
        let message = if failure.message.is_empty() { format!("ended as {state}") } else { failure.message.clone() };
        let mut error = Self::bare(kind, None, message);
        error.0.reason = failure.reason_name().into_owned();
        error.0.failure = failure;
        error
    }

    fn bare(kind: Kind, code: Option<Code>, message: String) -> Self {
        Self(Box::new(Inner { kind, code, message, ..Default::default() }))
    }

    fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let code = code_of(&status);
        let (failure, reason) = read_details(&status);
        let message = [failure.message.as_str(), status.message()].into_iter().find(|text| !text.is_empty());
        // The gateway sends these codes only with a reason. gRPC reports them if a stream was reset or has no status.
        let broken = reason.is_empty() && matches!(code, Code::Internal | Code::Unknown);
        let of_code = if broken { Kind::Unavailable } else { Kind::of_code(code) };
        Self(Box::new(Inner {
            kind: Kind::of_reason(&reason).unwrap_or(of_code),
            code: Some(code),
            message: message.map_or_else(|| code_name(code).replace('_', " ").to_lowercase(), str::to_owned),
            reason,
            failure,
            source: Some(Box::new(status)),
            ..Default::default()
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
        let ended = self.generation().map(|generation| format!("generation {}", generation.id));
        let ended = ended.or_else(|| self.character().map(|character| format!("character {}", character.id)));
        let texts: Vec<_> = fields.chain(ended).chain(self.connection()).collect();
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

/// Returns the `Failure` and the name of its reason.
///
/// `ErrorInfo` takes precedence for the name, because it also has reasons that are newer than this crate. If there is
/// no `Failure` (an error of a proxy), it is built from the standard details.
fn read_details(status: &Status) -> (Failure, String) {
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.domain == DOMAIN);
    let reason = info.map(|info| info.reason.clone());
    if let Some(failure) = received(status.details()) {
        let reason = reason.unwrap_or_else(|| failure.reason_name().into_owned());
        return (failure, reason);
    }
    let mut standard = Failure::default();
    standard.metadata.extend(info.iter().flat_map(|info| info.metadata.clone()));
    for refused in details.bad_request().into_iter().flat_map(|request| &request.field_violations) {
        let (field, description) = (refused.field.clone(), refused.description.clone());
        standard.field_violations.push(FieldViolation { field, description });
    }
    standard.retry_delay = details.retry_info().and_then(|retry| retry.retry_delay).map(duration);
    (standard, reason.unwrap_or_default())
}

/// Returns the `Failure` in the details of a status.
fn received(details: &[u8]) -> Option<Failure> {
    let details = pb::Status::decode(details).ok()?.details;
    let failure = details.iter().find(|detail| detail.type_url.ends_with("/hfgateway.v1.Failure"))?;
    Failure::decode(failure.value.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::{Error, Status, io};

    #[test]
    fn a_temporary_failure_to_look_up_the_name_is_no_mistake() {
        for (cause, mistake) in
            [("Name or service not known", true), ("Temporary failure in name resolution", false), ("Try again", false)]
        {
            let text = format!("failed to lookup address information: {cause}");
            let error = Error::from(Status::from_error(io::Error::other(text).into())).at("gateway:1", false, None);
            assert_eq!((error.is_mistake(), error.retryable()), (mistake, !mistake), "{error}");
        }
    }
}
