package io.github.hfgateway.client;

import io.github.hfgateway.v1.Failure;
import io.github.hfgateway.v1.FieldViolation;
import io.grpc.Status;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * A failed call: a status that the gateway returned, or an error of the transport. The base class of all exceptions
 * here.
 *
 * <p>Use the class or {@link #reason} to make decisions; the message is a text for people, which may change. There is
 * one class for each gRPC code, with a subclass for each reason of the gateway. Errors with a reason that is newer than
 * this client, and errors of the transport, have the class of their code.
 */
@SuppressWarnings("serial")
public class GatewayException extends RuntimeException {
  private final String text;
  private final Status.Code code;
  private final String reason;
  private final Failure failure;
  private String idempotencyKey = "";
  private String connection = "";

  GatewayException(Facts facts) {
    super(facts.message(), facts.cause());
    this.text = facts.message();
    this.code = facts.code();
    this.reason = facts.reason();
    this.failure = facts.failure();
  }

  /** The properties of an error. */
  record Facts(Status.Code code, String reason, String message, Failure failure, Throwable cause) {}

  /** Returns the gRPC code, or null if no call failed. */
  public Status.Code code() {
    return code;
  }

  /** Returns the gateway's reason, such as "QUOTA_EXCEEDED", or "" for an error of the transport. */
  public String reason() {
    return reason;
  }

  /** Returns the gateway's message, without the reason and the fields that {@link #getMessage} adds. */
  public String description() {
    return text;
  }

  /** Returns the details that the gateway sent. */
  public Failure failure() {
    return failure;
  }

  /** Returns the fields that were refused. */
  public List<FieldViolation> fieldViolations() {
    return failure.getFieldViolationsList();
  }

  /** Returns whether the same input may succeed later. */
  public boolean retryable() {
    return failure.getRetryable() || this instanceof Unavailable;
  }

  /** Returns how long to wait before a retry, if it is known. */
  public Optional<Duration> retryDelay() {
    return failure.hasRetryDelay()
        ? Optional.of(
            Duration.ofSeconds(failure.getRetryDelay().getSeconds(), failure.getRetryDelay().getNanos()))
        : Optional.empty();
  }

  /** Returns the variable parts of the message, such as "generation_id" and "limit". */
  public Map<String, String> metadata() {
    return failure.getMetadataMap();
  }

  /** Returns the key of a failed submission or creation, or "". Retrying with this key never has a second effect. */
  public String idempotencyKey() {
    return idempotencyKey;
  }

  GatewayException withIdempotencyKey(String key) {
    idempotencyKey = key;
    return this;
  }

  /**
   * Adds the gateway's address and the cause to an error of the connection, and to a timeout the failure before it
   * (null: none).
   */
  GatewayException at(String address, GatewayException before) {
    if (reason.isEmpty() && (code == Status.Code.UNAVAILABLE || code == Status.Code.DEADLINE_EXCEEDED)) {
      Throwable cause = null;
      for (Throwable next = Status.fromThrowable(this).getCause(); next != null; next = next.getCause()) {
        cause = next;
      }
      connection = (cause == null ? "" : "; " + cause) + "; gateway at " + address;
      if (before != null && code == Status.Code.DEADLINE_EXCEEDED) {
        connection += "; before that: " + before.text;
      }
    }
    return this;
  }

  /**
   * Returns the reason or code, the gateway's message, and the field violations that the message does not contain; for
   * an error of the connection its cause and the gateway's address.
   */
  @Override
  public String getMessage() {
    String label = !reason.isEmpty() ? reason : code != null ? code.name() : getClass().getSimpleName();
    String fields =
        fieldViolations().stream()
            .filter(violation -> !text.contains(violation.getDescription()))
            .map(violation -> violation.getField() + ": " + violation.getDescription())
            .collect(Collectors.joining("; "));
    return label + ": " + text + (fields.isEmpty() ? "" : " (" + fields + ")") + connection;
  }

  /** INVALID_ARGUMENT: the gateway's validation refused the request; see {@link #fieldViolations}. */
  public static class InvalidInput extends GatewayException {
    InvalidInput(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield refused the input. */
  public static final class InputRefused extends InvalidInput {
    InputRefused(Facts facts) {
      super(facts);
    }
  }

  /** UNAUTHENTICATED: the API key or watch token is missing, wrong, expired or revoked. */
  public static final class InvalidCredentials extends GatewayException {
    InvalidCredentials(Facts facts) {
      super(facts);
    }
  }

  /** PERMISSION_DENIED: the key or token may not make this call. */
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

  /** NOT_FOUND: the object does not exist, or belongs to another tenant. */
  public static class NotFound extends GatewayException {
    NotFound(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield, or the catalog, does not know the model. */
  public static final class ModelUnknown extends NotFound {
    ModelUnknown(Facts facts) {
      super(facts);
    }
  }

  /** FAILED_PRECONDITION: the state of the object does not allow the call. */
  public static class PreconditionFailed extends GatewayException {
    PreconditionFailed(Facts facts) {
      super(facts);
    }
  }

  /** The idempotency key belongs to another input, or to a deleted generation. */
  public static final class KeyReused extends PreconditionFailed {
    KeyReused(Facts facts) {
      super(facts);
    }
  }

  /** It is too late to cancel, or Higgsfield cannot; the metadata has the "state". */
  public static final class NotCancelable extends PreconditionFailed {
    NotCancelable(Facts facts) {
      super(facts);
    }
  }

  /** The generation has not ended. */
  public static final class NotDone extends PreconditionFailed {
    NotDone(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield has disabled or blocked the model. */
  public static final class ModelUnavailable extends PreconditionFailed {
    ModelUnavailable(Facts facts) {
      super(facts);
    }
  }

  /** RESOURCE_EXHAUSTED: a limit was reached. */
  public static class ResourceExhausted extends GatewayException {
    ResourceExhausted(Facts facts) {
      super(facts);
    }
  }

  /** The tenant has reached a limit; {@link #retryDelay} is set if waiting helps. */
  public static final class QuotaExceeded extends ResourceExhausted {
    QuotaExceeded(Facts facts) {
      super(facts);
    }
  }

  /** The Higgsfield account has not enough credits. */
  public static final class InsufficientCredits extends ResourceExhausted {
    InsufficientCredits(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield is saturated, and the caller set {@link Submit#failWhenSaturated}. */
  public static final class UpstreamSaturated extends ResourceExhausted {
    UpstreamSaturated(Facts facts) {
      super(facts);
    }
  }

  /** The gateway is overloaded, or its queue is full. The call had no effect. */
  public static final class GatewayOverloaded extends ResourceExhausted {
    GatewayOverloaded(Facts facts) {
      super(facts);
    }
  }

  /**
   * UNAVAILABLE, or CANCELLED by the server: the gateway, or something it needs, is not available. The call can be
   * retried unchanged.
   */
  public static class Unavailable extends GatewayException {
    Unavailable(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield sent no usable response. */
  public static final class UpstreamUnavailable extends Unavailable {
    UpstreamUnavailable(Facts facts) {
      super(facts);
    }
  }

  /** The gateway is shutting down, or its store is not available. */
  public static final class GatewayUnavailable extends Unavailable {
    GatewayUnavailable(Facts facts) {
      super(facts);
    }
  }

  /** ABORTED: the call was aborted; see the subclasses. */
  public static class Aborted extends GatewayException {
    Aborted(Facts facts) {
      super(facts);
    }
  }

  /**
   * The request was sent, but its outcome is unknown. Repeating it with the same key finds the outcome, and never has a
   * second effect.
   */
  public static final class SubmissionUnresolved extends Aborted {
    SubmissionUnresolved(Facts facts) {
      super(facts);
    }
  }

  /** An agent's session is busy with another turn. */
  public static final class SessionBusy extends Aborted {
    SessionBusy(Facts facts) {
      super(facts);
    }
  }

  /** INTERNAL: a defect of the gateway; the message has the id of the incident. */
  public static class InternalError extends GatewayException {
    InternalError(Facts facts) {
      super(facts);
    }
  }

  /** Higgsfield refuses the gateway's credentials. The operator of the gateway must act. */
  public static final class UpstreamCredentialsRefused extends InternalError {
    UpstreamCredentialsRefused(Facts facts) {
      super(facts);
    }
  }

  /** DEADLINE_EXCEEDED: the call timed out. The generation, if any, continues. */
  public static final class DeadlineExceeded extends GatewayException {
    DeadlineExceeded(Facts facts) {
      super(facts);
    }
  }

  /**
   * The caller ended the call: its thread was interrupted (and still is), its gRPC Context was canceled, or the client
   * was closed. The generation, if any, continues.
   */
  public static final class Canceled extends GatewayException {
    Canceled(Facts facts) {
      super(facts);
    }
  }
}
