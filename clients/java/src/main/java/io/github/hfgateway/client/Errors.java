package io.github.hfgateway.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.github.hfgateway.client.DetailedException.Facts;
import io.github.hfgateway.v1.CharacterState;
import io.github.hfgateway.v1.Failure;
import io.github.hfgateway.v1.FieldViolation;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationState;
import io.github.hfgateway.v1.SoulCharacter;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.util.Locale;
import java.util.Objects;

/** Creates typed errors from failed calls, generations and trainings. */
final class Errors {
  private static final String DOMAIN = "hfgateway";

  private Errors() {}

  /** Returns the error of a failed call: by its reason, or by its code if the reason is unknown or missing. */
  static GatewayException ofCall(Status status, Metadata trailers, Throwable cause) {
    Status.Code code = status.getCode();
    Details details = read(status, trailers);
    String words = code.name().replace('_', ' ').toLowerCase(Locale.ROOT);
    String said = Objects.requireNonNullElse(status.getDescription(), words);
    String message = details.failure.getMessage().isEmpty() ? said : details.failure.getMessage();
    Facts facts = new Facts(code, details.reason, message, details.failure, cause);
    // The gateway sends these codes only with a reason. gRPC reports them if a stream was reset or has no status, and
    // other codes too for calls that a server has not started when it leaves the connection.
    boolean cut = code == Status.Code.INTERNAL || code == Status.Code.UNKNOWN || said.contains("Received Goaway");
    boolean broken = details.reason.isEmpty() && cut;
    return broken ? new GatewayException.Unavailable(facts) : GatewayException.of(facts);
  }

  /** Returns the error of a call that the caller ended. */
  static GatewayException canceled(String why, Throwable cause) {
    return new GatewayException.Canceled(canceledBecause(why, cause));
  }

  /** Returns the error of a call of a closed client. */
  static GatewayException closed(Throwable cause) {
    return new GatewayException.ClientClosed(canceledBecause("the client is closed", cause));
  }

  private static Facts canceledBecause(String why, Throwable cause) {
    return new Facts(Status.Code.CANCELLED, "", why, Failure.getDefaultInstance(), cause);
  }

  /** Returns a generation that has ended; throws the error if it has no output. */
  static Generation completed(Generation generation) {
    if (generation.getState() == GenerationState.GENERATION_STATE_COMPLETED) return generation;
    Facts facts = ended(generation.getFailure(), States.name(generation));
    throw switch (generation.getState()) {
      case GENERATION_STATE_FAILED -> generation.hasAcceptTime()
          ? new GenerationFailedException(facts, generation)
          : new GenerationFailedException.Refused(facts, generation);
      case GENERATION_STATE_NSFW -> new GenerationFailedException.Moderated(facts, generation);
      case GENERATION_STATE_CANCELED -> new GenerationFailedException.Canceled(facts, generation);
      case GENERATION_STATE_LOST -> new GenerationFailedException.Lost(facts, generation);
      default -> new GenerationFailedException(facts, generation);
    };
  }

  /** Returns a character whose training has ended; throws the error if it did not complete. */
  static SoulCharacter completed(SoulCharacter character) {
    if (character.getState() == CharacterState.CHARACTER_STATE_COMPLETED) return character;
    throw new TrainingFailedException(ended(character.getFailure(), States.name(character)), character);
  }

  private static Facts ended(Failure failure, String state) {
    String message = failure.getMessage().isEmpty() ? "ended as " + state : failure.getMessage();
    return new Facts(null, nameOf(failure), message, failure, null);
  }

  private record Details(Failure failure, String reason) {}

  private static Details read(Status status, Metadata trailers) {
    try {
      return read(StatusProto.fromStatusAndTrailers(status, trailers == null ? new Metadata() : trailers));
    } catch (InvalidProtocolBufferException | IllegalArgumentException error) { // not sent by the gateway
      return new Details(Failure.getDefaultInstance(), "");
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
}
