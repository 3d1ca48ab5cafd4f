// Generated from protos/hfgateway/v1/error.proto by tools/error_tables. DO NOT EDIT!
package io.github.hfgateway.client;

/**
 * A failed call: a status that the gateway returned, or an error of the transport. The base class of all exceptions
 * here.
 *
 * <p>Use the class or {@link #reason} to make decisions; the message is a text for people, which may change. There is
 * one class for each gRPC code, with a subclass for each reason of the gateway. Errors with a reason that is newer than
 * this client, and errors of the transport, have the class of their code.
 */
@SuppressWarnings("serial")
public class GatewayException extends DetailedException {
  GatewayException(Facts facts) {
    super(facts);
  }

  /** Returns the error of a call: by its reason, or by its code if no class has the reason. */
  static GatewayException of(Facts facts) {
    return switch (facts.reason()) {
      case "INVALID_INPUT" -> new InvalidInput(facts);
      case "INPUT_REFUSED" -> new InputRefused(facts);
      case "INVALID_CREDENTIALS" -> new InvalidCredentials(facts);
      case "NOT_ALLOWED" -> new NotAllowed(facts);
      case "FEATURE_NOT_ENABLED" -> new FeatureNotEnabled(facts);
      case "NOT_FOUND" -> new NotFound(facts);
      case "MODEL_UNKNOWN" -> new ModelUnknown(facts);
      case "MODEL_UNAVAILABLE" -> new ModelUnavailable(facts);
      case "IDEMPOTENCY_KEY_REUSED" -> new KeyReused(facts);
      case "NOT_CANCELABLE" -> new NotCancelable(facts);
      case "NOT_DONE" -> new NotDone(facts);
      case "PRICE_UNKNOWN" -> new PriceUnknown(facts);
      case "QUOTA_EXCEEDED" -> new QuotaExceeded(facts);
      case "INSUFFICIENT_CREDITS" -> new InsufficientCredits(facts);
      case "UPSTREAM_SATURATED" -> new UpstreamSaturated(facts);
      case "GATEWAY_OVERLOADED" -> new GatewayOverloaded(facts);
      case "BUDGET_EXCEEDED" -> new BudgetExceeded(facts);
      case "UPSTREAM_UNAVAILABLE" -> new UpstreamUnavailable(facts);
      case "GATEWAY_UNAVAILABLE" -> new GatewayUnavailable(facts);
      case "SUBMISSION_UNRESOLVED" -> new SubmissionUnresolved(facts);
      case "SESSION_BUSY" -> new SessionBusy(facts);
      case "INTERNAL" -> new InternalError(facts);
      case "UPSTREAM_CREDENTIALS_REFUSED" -> new UpstreamCredentialsRefused(facts);
      default -> ofCode(facts);
    };
  }

  /** Returns the error of a code. */
  static GatewayException ofCode(Facts facts) {
    return switch (facts.code()) {
      case INVALID_ARGUMENT -> new InvalidInput(facts);
      case UNAUTHENTICATED -> new InvalidCredentials(facts);
      case PERMISSION_DENIED -> new NotAllowed(facts);
      case NOT_FOUND -> new NotFound(facts);
      case FAILED_PRECONDITION -> new PreconditionFailed(facts);
      case RESOURCE_EXHAUSTED -> new ResourceExhausted(facts);
      case UNAVAILABLE -> new Unavailable(facts);
      case ABORTED -> new Aborted(facts);
      case INTERNAL -> new InternalError(facts);
      case DEADLINE_EXCEEDED -> new DeadlineExceeded(facts);
      case CANCELLED -> new Unavailable(facts);
      default -> new GatewayException(facts);
    };
  }

  /** INVALID_ARGUMENT. The gateway's validation refused the request. {@link #fieldViolations} names the fields. */
  public static class InvalidInput extends GatewayException {
    InvalidInput(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield refused the input. {@link #fieldViolations} names the fields if Higgsfield did. */
  public static final class InputRefused extends InvalidInput {
    InputRefused(Facts facts) {
      super(facts);
    }
  }

  /** UNAUTHENTICATED. The API key or watch token is missing, wrong, expired or revoked. */
  public static final class InvalidCredentials extends GatewayException {
    InvalidCredentials(Facts facts) {
      super(facts);
    }
  }

  /** PERMISSION_DENIED. The API key or watch token may not make this call, or a limit does not allow the model. */
  public static class NotAllowed extends GatewayException {
    NotAllowed(Facts facts) {
      super(facts);
    }
  }

  /** The Higgsfield account does not have this feature. */
  public static final class FeatureNotEnabled extends NotAllowed {
    FeatureNotEnabled(Facts facts) {
      super(facts);
    }
  }

  /** NOT_FOUND. The resource does not exist, or belongs to another tenant. */
  public static class NotFound extends GatewayException {
    NotFound(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield does not know the model. */
  public static final class ModelUnknown extends NotFound {
    ModelUnknown(Facts facts) {
      super(facts);
    }
  }

  /** FAILED_PRECONDITION. The state of the resource does not allow the call. */
  public static class PreconditionFailed extends GatewayException {
    PreconditionFailed(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield has disabled or blocked the model. */
  public static final class ModelUnavailable extends PreconditionFailed {
    ModelUnavailable(Facts facts) {
      super(facts);
    }
  }

  /** The idempotency key was used with a different input, or its resource was deleted. */
  public static final class KeyReused extends PreconditionFailed {
    KeyReused(Facts facts) {
      super(facts);
    }
  }

  /** It is too late to cancel, or Higgsfield cannot. {@link #metadata} names the state. */
  public static final class NotCancelable extends PreconditionFailed {
    NotCancelable(Facts facts) {
      super(facts);
    }
  }

  /** The resource has not reached its final state. {@link #metadata} names the state. */
  public static final class NotDone extends PreconditionFailed {
    NotDone(Facts facts) {
      super(facts);
    }
  }

  /**
   * A budget applies, and the price of the submission is not known. Nothing was submitted. Either Higgsfield and the
   * gateway's settings have no price for the model, which the operator of the gateway can set, or the input does not
   * say how many outputs it makes. The message says which.
   */
  public static final class PriceUnknown extends PreconditionFailed {
    PriceUnknown(Facts facts) {
      super(facts);
    }
  }

  /** RESOURCE_EXHAUSTED. A limit was reached, or something is overloaded. */
  public static class ResourceExhausted extends GatewayException {
    ResourceExhausted(Facts facts) {
      super(facts);
    }
  }

  /**
   * A limit of the tenant, the API key, a label or a callback is reached. The call had no effect. {@link #metadata}
   * names it. The metadata of a submission has the "limit" ("submissions_per_minute", "in_flight"), its "subject"
   * ("tenant", "key:ID", "label:NAME=VALUE"), what is "allowed", "used" and "left", and when it "resets_at". {@link
   * #retryDelay} is set if waiting helps.
   */
  public static final class QuotaExceeded extends ResourceExhausted {
    QuotaExceeded(Facts facts) {
      super(facts);
    }
  }

  /** The Higgsfield account does not have enough credits. */
  public static final class InsufficientCredits extends ResourceExhausted {
    InsufficientCredits(Facts facts) {
      super(facts);
    }
  }

  /**
   * Higgsfield, or the part of it that the tenant may use, is full, and the call does not queue. The message says
   * which. {@link #retryDelay} has the delay. As the delay of a generation: it waits for its turn.
   */
  public static final class UpstreamSaturated extends ResourceExhausted {
    UpstreamSaturated(Facts facts) {
      super(facts);
    }
  }

  /** The gateway is overloaded, or its queue is full. The call had no effect. {@link #retryDelay} has the delay. */
  public static final class GatewayOverloaded extends ResourceExhausted {
    GatewayOverloaded(Facts facts) {
      super(facts);
    }
  }

  /**
   * A budget of the tenant, the API key or a label does not have enough credits left, and nothing was submitted. {@link
   * #metadata} names it. The metadata is that of QUOTA_EXCEEDED, in credits, with the limit "credits_per_day" or
   * "credits_per_month" and what is "needed". A retry makes sense only after "resets_at", or once generations have
   * failed.
   */
  public static final class BudgetExceeded extends ResourceExhausted {
    BudgetExceeded(Facts facts) {
      super(facts);
    }
  }

  /** UNAVAILABLE. The gateway or Higgsfield is not available, or a response was lost. The client retries the call. */
  public static class Unavailable extends GatewayException {
    Unavailable(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield sent no usable response. {@link #retryDelay} has the delay. */
  public static final class UpstreamUnavailable extends Unavailable {
    UpstreamUnavailable(Facts facts) {
      super(facts);
    }
  }

  /**
   * The gateway is shutting down, its store is not available, or none of its replicas leads at the moment. Or the API
   * key, or the token of the issuer, has expired during the call. {@link #retryDelay} has the delay.
   */
  public static final class GatewayUnavailable extends Unavailable {
    GatewayUnavailable(Facts facts) {
      super(facts);
    }
  }

  /** ABORTED. The call was aborted. */
  public static class Aborted extends GatewayException {
    Aborted(Facts facts) {
      super(facts);
    }
  }

  /**
   * The request was sent to Higgsfield without a usable response, so it may have been executed and charged. The same
   * call with the same idempotency key looks again, and never sends it twice. As the failure of a generation: its
   * outcome could not be found in time.
   */
  public static final class SubmissionUnresolved extends Aborted {
    SubmissionUnresolved(Facts facts) {
      super(facts);
    }
  }

  /** The session of the agent is busy with another turn. The message was not sent. */
  public static final class SessionBusy extends Aborted {
    SessionBusy(Facts facts) {
      super(facts);
    }
  }

  /** INTERNAL. A defect of the gateway. The "incident" in the metadata is its number in the gateway's log. */
  public static class InternalError extends GatewayException {
    InternalError(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield refuses the gateway's credentials. The operator of the gateway must correct them. */
  public static final class UpstreamCredentialsRefused extends InternalError {
    UpstreamCredentialsRefused(Facts facts) {
      super(facts);
    }
  }

  /** DEADLINE_EXCEEDED. The call timed out. A submitted generation continues. */
  public static final class DeadlineExceeded extends GatewayException {
    DeadlineExceeded(Facts facts) {
      super(facts);
    }
  }

  /**
   * The caller ended the call: its thread was interrupted (and still is), its gRPC Context was canceled, or the client
   * was closed. The generation, if any, continues.
   */
  public static class Canceled extends GatewayException {
    Canceled(Facts facts) {
      super(facts);
    }
  }

  /** The client was closed before or during the call. */
  public static final class ClientClosed extends Canceled {
    ClientClosed(Facts facts) {
      super(facts);
    }
  }
}
