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
 * A call that the gateway, or the way to it, did not carry out; the base of all errors here.
 *
 * <p>Decide by the class or by {@link #reason}; the message is for people and may change. There is one class for each
 * gRPC code, and below it one for each reason that the gateway gives; a reason that is newer than this client, and an
 * error that the transport made itself, get the class of their code.
 */
@SuppressWarnings("serial")
public class GatewayException extends RuntimeException {
  private final String told;
  private final Status.Code code;
  private final String reason;
  private final Failure failure;
  private String idempotencyKey = "";

  GatewayException(Told told) {
    super(told.message(), told.cause());
    this.told = told.message();
    this.code = told.code();
    this.reason = told.reason();
    this.failure = told.failure();
  }

  /** What an error is made of. */
  record Told(Status.Code code, String reason, String message, Failure failure, Throwable cause) {}

  /** The gRPC code; null where no call failed. */
  public Status.Code code() {
    return code;
  }

  /** The gateway's word for it, such as "QUOTA_EXCEEDED"; "" for an error of the transport. */
  public String reason() {
    return reason;
  }

  /** What was told to people, without what {@link #getMessage} puts around it. */
  public String told() {
    return told;
  }

  /** All that the gateway told, as it told it. */
  public Failure failure() {
    return failure;
  }

  /** The fields that were refused. */
  public List<FieldViolation> fieldViolations() {
    return failure.getFieldViolationsList();
  }

  /** Whether the same input may succeed later. */
  public boolean retryable() {
    return failure.getRetryable() || this instanceof Unavailable;
  }

  /** How long to wait before that, where it is known. */
  public Optional<Duration> retryDelay() {
    return failure.hasRetryDelay()
        ? Optional.of(
            Duration.ofSeconds(failure.getRetryDelay().getSeconds(), failure.getRetryDelay().getNanos()))
        : Optional.empty();
  }

  /** The variable parts of the message, such as "generation_id" and "limit". */
  public Map<String, String> metadata() {
    return failure.getMetadataMap();
  }

  /** The key of a submit or a creation that failed: repeat with it, and nothing is done twice. Else "". */
  public String idempotencyKey() {
    return idempotencyKey;
  }

  GatewayException withIdempotencyKey(String key) {
    idempotencyKey = key;
    return this;
  }

  /** The reason, what was told, and the fields of which that does not speak. */
  @Override
  public String getMessage() {
    String label = !reason.isEmpty() ? reason : code != null ? code.name() : getClass().getSimpleName();
    String fields =
        fieldViolations().stream()
            .filter(violation -> !told.contains(violation.getDescription()))
            .map(violation -> violation.getField() + ": " + violation.getDescription())
            .collect(Collectors.joining("; "));
    return label + ": " + told + (fields.isEmpty() ? "" : " (" + fields + ")");
  }

  /** The gateway's own check refused the request; {@link #fieldViolations} names the fields. */
  public static class InvalidInput extends GatewayException {
    InvalidInput(Told told) {
      super(told);
    }
  }

  /** Higgsfield's check refused the input. */
  public static final class InputRefused extends InvalidInput {
    InputRefused(Told told) {
      super(told);
    }
  }

  /** No API key, or one that is wrong, expired or revoked. */
  public static final class InvalidCredentials extends GatewayException {
    InvalidCredentials(Told told) {
      super(told);
    }
  }

  /** The API key may not do this. */
  public static class NotAllowed extends GatewayException {
    NotAllowed(Told told) {
      super(told);
    }
  }

  /** The Higgsfield account does not have this feature. */
  public static final class FeatureNotEnabled extends NotAllowed {
    FeatureNotEnabled(Told told) {
      super(told);
    }
  }

  /** It does not exist, or belongs to another tenant. */
  public static class NotFound extends GatewayException {
    NotFound(Told told) {
      super(told);
    }
  }

  /** Higgsfield does not know the model. */
  public static final class ModelUnknown extends NotFound {
    ModelUnknown(Told told) {
      super(told);
    }
  }

  /** Not in the state that it is in. */
  public static class PreconditionFailed extends GatewayException {
    PreconditionFailed(Told told) {
      super(told);
    }
  }

  /** The idempotency key stands for a different input, or for a deleted generation. */
  public static final class KeyReused extends PreconditionFailed {
    KeyReused(Told told) {
      super(told);
    }
  }

  /** Too late to cancel, or Higgsfield cannot; the metadata's "state" names the state. */
  public static final class NotCancelable extends PreconditionFailed {
    NotCancelable(Told told) {
      super(told);
    }
  }

  /** It has not ended yet. */
  public static final class NotDone extends PreconditionFailed {
    NotDone(Told told) {
      super(told);
    }
  }

  /** The model is disabled or blocked at Higgsfield. */
  public static final class ModelUnavailable extends PreconditionFailed {
    ModelUnavailable(Told told) {
      super(told);
    }
  }

  /** A limit was reached. */
  public static class ResourceExhausted extends GatewayException {
    ResourceExhausted(Told told) {
      super(told);
    }
  }

  /** The tenant's own limit; {@link #retryDelay} is set where time helps. */
  public static final class QuotaExceeded extends ResourceExhausted {
    QuotaExceeded(Told told) {
      super(told);
    }
  }

  /** The Higgsfield account has no credits left. */
  public static final class InsufficientCredits extends ResourceExhausted {
    InsufficientCredits(Told told) {
      super(told);
    }
  }

  /** Higgsfield is full, and the caller asked not to queue. */
  public static final class UpstreamSaturated extends ResourceExhausted {
    UpstreamSaturated(Told told) {
      super(told);
    }
  }

  /** The gateway sheds load, or its queue is full; nothing was done. */
  public static final class GatewayOverloaded extends ResourceExhausted {
    GatewayOverloaded(Told told) {
      super(told);
    }
  }

  /** Not reachable, or not now. The same call may be repeated as it is. */
  public static class Unavailable extends GatewayException {
    Unavailable(Told told) {
      super(told);
    }
  }

  /** Higgsfield does not answer, or not sensibly. */
  public static final class UpstreamUnavailable extends Unavailable {
    UpstreamUnavailable(Told told) {
      super(told);
    }
  }

  /** The gateway is draining, or its store is away. */
  public static final class GatewayUnavailable extends Unavailable {
    GatewayUnavailable(Told told) {
      super(told);
    }
  }

  /** Given up half way; see the subclasses. */
  public static class Aborted extends GatewayException {
    Aborted(Told told) {
      super(told);
    }
  }

  /** Sent, and no answer came: the same submit with the same key finds out, and never does it twice. */
  public static final class SubmissionUnresolved extends Aborted {
    SubmissionUnresolved(Told told) {
      super(told);
    }
  }

  /** An agent's session is busy with another turn. */
  public static final class SessionBusy extends Aborted {
    SessionBusy(Told told) {
      super(told);
    }
  }

  /** A defect of the gateway; the message names the incident. */
  public static class InternalError extends GatewayException {
    InternalError(Told told) {
      super(told);
    }
  }

  /** Higgsfield refuses the gateway's credentials: its operator must act. */
  public static final class UpstreamCredentialsRefused extends InternalError {
    UpstreamCredentialsRefused(Told told) {
      super(told);
    }
  }

  /** The call's own time ran out. What it was about goes on. */
  public static final class DeadlineExceeded extends GatewayException {
    DeadlineExceeded(Told told) {
      super(told);
    }
  }

  /**
   * The caller ended the call: its thread was interrupted (and still is), its gRPC Context canceled, or the client
   * closed. What it was about goes on.
   */
  public static final class Canceled extends GatewayException {
    Canceled(Told told) {
      super(told);
    }
  }
}
