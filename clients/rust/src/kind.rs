// Generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT!
//! The kinds of errors: one for each gRPC code, and one for each reason of the gateway.

use tonic::Code;

/// What went wrong.
///
/// There is one kind for each gRPC code, and one for each reason of the gateway. Errors with a reason that is newer
/// than this crate, and errors of the transport, have the kind of their code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// INVALID_ARGUMENT. The gateway's validation refused the request. `field_violations` names the fields.
    InvalidInput,
    /// Higgsfield refused the input. `field_violations` names the fields if Higgsfield did.
    InputRefused,
    /// UNAUTHENTICATED. The API key or watch token is missing, wrong, expired or revoked.
    InvalidCredentials,
    /// PERMISSION_DENIED. The API key or watch token may not make this call, or a limit does not allow the model.
    NotAllowed,
    /// The Higgsfield account does not have this feature.
    FeatureNotEnabled,
    /// NOT_FOUND. The resource does not exist, or belongs to another tenant.
    NotFound,
    /// Higgsfield does not know the model.
    ModelUnknown,
    /// FAILED_PRECONDITION. The state of the resource does not allow the call.
    PreconditionFailed,
    /// Higgsfield has disabled or blocked the model.
    ModelUnavailable,
    /// The idempotency key was used with a different input, or its resource was deleted.
    KeyReused,
    /// It is too late to cancel, or Higgsfield cannot. The metadata names the state.
    NotCancelable,
    /// The resource has not reached its final state. The metadata names the state.
    NotDone,
    /// A budget applies, and the price of the submission is not known. Nothing was submitted. Either Higgsfield and the
    /// gateway's settings have no price for the model, which the operator of the gateway can set, or the input does not
    /// say how many outputs it makes. The message says which.
    PriceUnknown,
    /// RESOURCE_EXHAUSTED. A limit was reached, or something is overloaded.
    ResourceExhausted,
    /// A limit of the tenant, the API key, a label or a callback is reached. The call had no effect. The metadata names
    /// it. The metadata of a submission has the "limit" ("submissions_per_minute", "in_flight"), its "subject"
    /// ("tenant", "key:ID", "label:NAME=VALUE"), what is "allowed", "used" and "left", and when it "resets_at".
    /// `retry_delay` is set if waiting helps.
    QuotaExceeded,
    /// The Higgsfield account does not have enough credits.
    InsufficientCredits,
    /// Higgsfield, or the part of it that the tenant may use, is full, and the call does not queue. The message says
    /// which. `retry_delay` has the delay. As the delay of a generation: it waits for its turn.
    UpstreamSaturated,
    /// The gateway is overloaded, or its queue is full. The call had no effect. `retry_delay` has the delay.
    GatewayOverloaded,
    /// A budget of the tenant, the API key or a label does not have enough credits left, and nothing was submitted. The
    /// metadata names it. The metadata is that of QUOTA_EXCEEDED, in credits, with the limit "credits_per_day" or
    /// "credits_per_month" and what is "needed". A retry makes sense only after "resets_at", or once generations have
    /// failed.
    BudgetExceeded,
    /// UNAVAILABLE. The gateway or Higgsfield is not available, or a response was lost. The client retries the call.
    Unavailable,
    /// Higgsfield sent no usable response. `retry_delay` has the delay.
    UpstreamUnavailable,
    /// The gateway is shutting down, its store is not available, or none of its replicas leads at the moment. Or the
    /// API key, or the token of the issuer, has expired during the call. `retry_delay` has the delay.
    GatewayUnavailable,
    /// ABORTED. The call was aborted.
    Aborted,
    /// The request was sent to Higgsfield without a usable response, so it may have been executed and charged. The same
    /// call with the same idempotency key looks again, and never sends it twice. As the failure of a generation: its
    /// outcome could not be found in time.
    SubmissionUnresolved,
    /// The session of the agent is busy with another turn. The message was not sent.
    SessionBusy,
    /// INTERNAL. A defect of the gateway. The "incident" in the metadata is its number in the gateway's log.
    InternalError,
    /// Higgsfield refuses the gateway's credentials. The operator of the gateway must correct them.
    UpstreamCredentialsRefused,
    /// DEADLINE_EXCEEDED. The call timed out. A submitted generation continues.
    DeadlineExceeded,
    /// Any other code.
    #[default]
    Other,
    /// The client was closed before or during the call. A submitted generation continues.
    ClientClosed,
    /// A generation ended without output. Only from `generate`.
    GenerationFailed,
    /// A generation failed before Higgsfield accepted it. It was not charged, and its key can be used again. Only from
    /// `generate`.
    GenerationRefused,
    /// Higgsfield's moderation refused a generation. It was not charged. Only from `generate`.
    GenerationModerated,
    /// A caller canceled a generation, or the gateway did; see the reason. It was not charged. Only from `generate`.
    GenerationCanceled,
    /// The outcome of a generation cannot be determined. It may have been charged. Only from `generate`.
    GenerationLost,
    /// The training of a character failed. Only from `train_character`.
    TrainingFailed,
    /// The source could not be read. Only from `upload`.
    SourceFailed,
    /// The address, the API key or a PEM file is invalid. Only from `build`.
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
            Self::ModelUnavailable => Self::PreconditionFailed,
            Self::KeyReused => Self::PreconditionFailed,
            Self::NotCancelable => Self::PreconditionFailed,
            Self::NotDone => Self::PreconditionFailed,
            Self::PriceUnknown => Self::PreconditionFailed,
            Self::QuotaExceeded => Self::ResourceExhausted,
            Self::InsufficientCredits => Self::ResourceExhausted,
            Self::UpstreamSaturated => Self::ResourceExhausted,
            Self::GatewayOverloaded => Self::ResourceExhausted,
            Self::BudgetExceeded => Self::ResourceExhausted,
            Self::UpstreamUnavailable => Self::Unavailable,
            Self::GatewayUnavailable => Self::Unavailable,
            Self::SubmissionUnresolved => Self::Aborted,
            Self::SessionBusy => Self::Aborted,
            Self::UpstreamCredentialsRefused => Self::InternalError,
            Self::GenerationRefused => Self::GenerationFailed,
            Self::GenerationModerated => Self::GenerationFailed,
            Self::GenerationCanceled => Self::GenerationFailed,
            Self::GenerationLost => Self::GenerationFailed,
            itself => itself,
        }
    }

    pub(crate) fn of_code(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidInput,
            Code::Unauthenticated => Self::InvalidCredentials,
            Code::PermissionDenied => Self::NotAllowed,
            Code::NotFound => Self::NotFound,
            Code::FailedPrecondition => Self::PreconditionFailed,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::Unavailable => Self::Unavailable,
            Code::Aborted => Self::Aborted,
            Code::Internal => Self::InternalError,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Cancelled => Self::Unavailable,
            _ => Self::Other,
        }
    }

    pub(crate) fn of_reason(reason: &str) -> Option<Self> {
        match reason {
            "INVALID_INPUT" => Some(Self::InvalidInput),
            "INPUT_REFUSED" => Some(Self::InputRefused),
            "INVALID_CREDENTIALS" => Some(Self::InvalidCredentials),
            "NOT_ALLOWED" => Some(Self::NotAllowed),
            "FEATURE_NOT_ENABLED" => Some(Self::FeatureNotEnabled),
            "NOT_FOUND" => Some(Self::NotFound),
            "MODEL_UNKNOWN" => Some(Self::ModelUnknown),
            "MODEL_UNAVAILABLE" => Some(Self::ModelUnavailable),
            "IDEMPOTENCY_KEY_REUSED" => Some(Self::KeyReused),
            "NOT_CANCELABLE" => Some(Self::NotCancelable),
            "NOT_DONE" => Some(Self::NotDone),
            "PRICE_UNKNOWN" => Some(Self::PriceUnknown),
            "QUOTA_EXCEEDED" => Some(Self::QuotaExceeded),
            "INSUFFICIENT_CREDITS" => Some(Self::InsufficientCredits),
            "UPSTREAM_SATURATED" => Some(Self::UpstreamSaturated),
            "GATEWAY_OVERLOADED" => Some(Self::GatewayOverloaded),
            "BUDGET_EXCEEDED" => Some(Self::BudgetExceeded),
            "UPSTREAM_UNAVAILABLE" => Some(Self::UpstreamUnavailable),
            "GATEWAY_UNAVAILABLE" => Some(Self::GatewayUnavailable),
            "SUBMISSION_UNRESOLVED" => Some(Self::SubmissionUnresolved),
            "SESSION_BUSY" => Some(Self::SessionBusy),
            "INTERNAL" => Some(Self::InternalError),
            "UPSTREAM_CREDENTIALS_REFUSED" => Some(Self::UpstreamCredentialsRefused),
            _ => None,
        }
    }
}

/// Returns the name of a code, such as "INVALID_ARGUMENT".
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
