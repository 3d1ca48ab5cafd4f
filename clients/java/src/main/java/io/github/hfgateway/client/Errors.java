package io.github.hfgateway.client;

import com.google.protobuf.Any;
import com.google.protobuf.ExtensionRegistryLite;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.github.hfgateway.client.GatewayException.Facts;
import io.github.hfgateway.v1.Failure;
import io.github.hfgateway.v1.FieldViolation;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.SoulCharacter;
import io.grpc.Metadata;
import io.grpc.Status;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;

/** Creates typed errors from failed calls, generations and trainings. */
final class Errors {
  private static final String DOMAIN = "hfgateway";
  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private static final Map<String, Function<Facts, GatewayException>> BY_REASON =
      Map.ofEntries(
          Map.entry("INVALID_INPUT", GatewayException.InvalidInput::new),
          Map.entry("INPUT_REFUSED", GatewayException.InputRefused::new),
          Map.entry("INVALID_CREDENTIALS", GatewayException.InvalidCredentials::new),
          Map.entry("NOT_ALLOWED", GatewayException.NotAllowed::new),
          Map.entry("FEATURE_NOT_ENABLED", GatewayException.FeatureNotEnabled::new),
          Map.entry("NOT_FOUND", GatewayException.NotFound::new),
          Map.entry("MODEL_UNKNOWN", GatewayException.ModelUnknown::new),
          Map.entry("MODEL_UNAVAILABLE", GatewayException.ModelUnavailable::new),
          Map.entry("IDEMPOTENCY_KEY_REUSED", GatewayException.KeyReused::new),
          Map.entry("NOT_CANCELABLE", GatewayException.NotCancelable::new),
          Map.entry("NOT_DONE", GatewayException.NotDone::new),
          Map.entry("QUOTA_EXCEEDED", GatewayException.QuotaExceeded::new),
          Map.entry("INSUFFICIENT_CREDITS", GatewayException.InsufficientCredits::new),
          Map.entry("UPSTREAM_SATURATED", GatewayException.UpstreamSaturated::new),
          Map.entry("GATEWAY_OVERLOADED", GatewayException.GatewayOverloaded::new),
          Map.entry("UPSTREAM_UNAVAILABLE", GatewayException.UpstreamUnavailable::new),
          Map.entry("GATEWAY_UNAVAILABLE", GatewayException.GatewayUnavailable::new),
          Map.entry("UPSTREAM_CREDENTIALS_REFUSED", GatewayException.UpstreamCredentialsRefused::new),
          Map.entry("INTERNAL", GatewayException.InternalError::new),
          Map.entry("SUBMISSION_UNRESOLVED", GatewayException.SubmissionUnresolved::new),
          Map.entry("SESSION_BUSY", GatewayException.SessionBusy::new));

  private Errors() {}

  /** Returns the error of a failed call: by its reason, or by its code if the reason is unknown or missing. */
  static GatewayException ofCall(Status status, Metadata trailers, Throwable cause) {
    Status.Code code = status.getCode();
    Details details = read(trailers);
    String message = details.failure.getMessage();
    if (message.isEmpty()) {
      message = status.getDescription() != null ? status.getDescription() : words(code);
    }
    Facts facts = new Facts(code, details.reason, message, details.failure, cause);
    Function<Facts, GatewayException> made = BY_REASON.get(details.reason);
    return made != null ? made.apply(facts) : byCode(facts);
  }

  /** Returns the error of a call that the caller ended. */
  static GatewayException canceled(String why, Throwable cause) {
    return new GatewayException.Canceled(
        new Facts(Status.Code.CANCELLED, "", why, Failure.getDefaultInstance(), cause));
  }

  /** Returns the error of a generation that ended without output. */
  static GenerationFailedException ofGeneration(Generation generation) {
    Failure failure = generation.getFailure();
    String message = failure.getMessage();
    if (message.isEmpty()) {
      message = "ended as " + States.name(generation);
    }
    Facts facts = new Facts(null, nameOf(failure), message, failure, null);
    return switch (generation.getState()) {
      case GENERATION_STATE_FAILED -> generation.hasAcceptTime()
          ? new GenerationFailedException(facts, generation)
          : new GenerationFailedException.Refused(facts, generation);
      case GENERATION_STATE_NSFW -> new GenerationFailedException.Moderated(facts, generation);
      case GENERATION_STATE_CANCELED -> new GenerationFailedException.Canceled(facts, generation);
      case GENERATION_STATE_LOST -> new GenerationFailedException.Lost(facts, generation);
      default -> new GenerationFailedException(facts, generation);
    };
  }

  /** Returns the error of a character whose training did not complete. */
  static TrainingFailedException ofTraining(SoulCharacter character) {
    Failure failure = character.getFailure();
    String message = failure.getMessage();
    if (message.isEmpty()) {
      message = "ended as " + States.name(character);
    }
    return new TrainingFailedException(new Facts(null, nameOf(failure), message, failure, null), character);
  }

  private static GatewayException byCode(Facts facts) {
    return switch (facts.code()) {
      case INVALID_ARGUMENT -> new GatewayException.InvalidInput(facts);
      case UNAUTHENTICATED -> new GatewayException.InvalidCredentials(facts);
      case PERMISSION_DENIED -> new GatewayException.NotAllowed(facts);
      case NOT_FOUND -> new GatewayException.NotFound(facts);
      case FAILED_PRECONDITION -> new GatewayException.PreconditionFailed(facts);
      case RESOURCE_EXHAUSTED -> new GatewayException.ResourceExhausted(facts);
      case UNAVAILABLE, CANCELLED -> new GatewayException.Unavailable(facts);
      case ABORTED -> new GatewayException.Aborted(facts);
      case INTERNAL -> new GatewayException.InternalError(facts);
      case DEADLINE_EXCEEDED -> new GatewayException.DeadlineExceeded(facts);
      default -> new GatewayException(facts);
    };
  }

  private record Details(Failure failure, String reason) {
    static final Details NONE = new Details(Failure.getDefaultInstance(), "");
  }

  private static Details read(Metadata trailers) {
    byte[] bytes = trailers == null ? null : trailers.get(DETAILS);
    if (bytes == null) {
      return Details.NONE;
    }
    try {
      return read(com.google.rpc.Status.parseFrom(bytes, ExtensionRegistryLite.getEmptyRegistry()));
    } catch (InvalidProtocolBufferException error) { // not sent by the gateway
      return Details.NONE;
    }
  }

  /**
   * Reads the Failure and the name of its reason. ErrorInfo takes precedence for the name, because it also has reasons
   * that are newer than the stubs. If there is no Failure (an error of a proxy), it is built from the standard details.
   */
  private static Details read(com.google.rpc.Status status) throws InvalidProtocolBufferException {
    Failure failure = null;
    Failure.Builder standard = Failure.newBuilder();
    String reason = "";
    for (Any detail : status.getDetailsList()) {
      if (detail.is(Failure.class)) {
        failure = detail.unpack(Failure.class);
      } else if (detail.is(ErrorInfo.class)) {
        ErrorInfo info = detail.unpack(ErrorInfo.class);
        if (info.getDomain().equals(DOMAIN)) {
          reason = info.getReason();
          standard.putAllMetadata(info.getMetadataMap());
        }
      } else if (detail.is(BadRequest.class)) {
        for (BadRequest.FieldViolation violation : detail.unpack(BadRequest.class).getFieldViolationsList()) {
          standard.addFieldViolations(
              FieldViolation.newBuilder().setField(violation.getField()).setDescription(violation.getDescription()));
        }
      } else if (detail.is(RetryInfo.class)) {
        standard.setRetryDelay(detail.unpack(RetryInfo.class).getRetryDelay());
      }
    }
    if (failure == null) {
      return new Details(standard.build(), reason);
    }
    return new Details(failure, reason.isEmpty() ? nameOf(failure) : reason);
  }

  private static String nameOf(Failure failure) {
    return switch (failure.getReason()) {
      case ERROR_REASON_UNSPECIFIED -> "";
      case UNRECOGNIZED -> "REASON_" + failure.getReasonValue();
      default -> failure.getReason().name().substring("ERROR_REASON_".length());
    };
  }

  private static String words(Status.Code code) {
    return code.name().replace('_', ' ').toLowerCase(Locale.ROOT);
  }
}
