package io.github.hfgateway.client;

import io.github.hfgateway.v1.Failure;
import io.github.hfgateway.v1.FieldViolation;
import io.grpc.Status;
import java.io.Serializable;
import java.net.UnknownHostException;
import java.security.cert.CertificateException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLPeerUnverifiedException;

/** What all exceptions of the client have in common. {@link GatewayException}, which is generated, is its only subclass. */
@SuppressWarnings("serial")
abstract class DetailedException extends RuntimeException {
  /** What Java says about a server that does not use TLS. */
  private static final String NOT_TLS = "Unsupported or unrecognized SSL message";

  /** What glibc and musl say if a name cannot be looked up for the moment. */
  private static final Pattern MOMENTARY = Pattern.compile(": (Temporary failure in name resolution|Try again)");

  private final Facts facts;
  private String idempotencyKey = "";
  private String connection = "";

  /** Whether a mistake in the client's options is the cause. */
  boolean mistake;

  DetailedException(Facts facts) {
    super(facts.message(), facts.cause());
    this.facts = facts;
  }

  /** The properties of an error. */
  record Facts(Status.Code code, String reason, String message, Failure failure, Throwable cause)
      implements Serializable {}

  /** Returns the gRPC code, or null if no call failed. */
  public Status.Code code() {
    return facts.code();
  }

  /** Returns the gateway's reason, such as "QUOTA_EXCEEDED", or "" for an error of the transport. */
  public String reason() {
    return facts.reason();
  }

  /** Returns the gateway's message, without the reason and the fields that {@link #getMessage} adds. */
  public String description() {
    return facts.message();
  }

  /** Returns the details that the gateway sent. */
  public Failure failure() {
    return facts.failure();
  }

  /** Returns the fields that were refused. */
  public List<FieldViolation> fieldViolations() {
    return failure().getFieldViolationsList();
  }

  /** Returns whether the same input may succeed later. */
  public boolean retryable() {
    return failure().getRetryable() || (this instanceof GatewayException.Unavailable && !mistake);
  }

  /** Returns how long to wait before a retry, if it is known. */
  public Optional<Duration> retryDelay() {
    return failure().hasRetryDelay() ? Optional.of(Durations.of(failure().getRetryDelay())) : Optional.empty();
  }

  /** Returns the variable parts of the message, such as "generation_id" and "limit". */
  public Map<String, String> metadata() {
    return failure().getMetadataMap();
  }

  /** Returns the key of a failed submission or creation, or "". Retrying with this key never has a second effect. */
  public String idempotencyKey() {
    return idempotencyKey;
  }

  void setIdempotencyKey(String key) {
    idempotencyKey = idempotencyKey.isEmpty() ? key : idempotencyKey;
  }

  /**
   * Adds the gateway's address and the cause to an error that is not the gateway's. Unless the gateway was reached before, the
   * cause may be a mistake in the client's options, which no retry can change: see docs/clients.md.
   *
   * @param momentary whether the last lookup of the name failed for the moment. Java repeats a failure for 10 s, without
   *     saying why the lookup failed
   * @return the same after this error
   */
  boolean at(String address, boolean reached, boolean momentary) {
    if (reason().isEmpty()) {
      Throwable cause = null;
      for (Throwable next = Status.fromThrowable(this).getCause(); next != null; next = next.getCause()) {
        cause = next;
        String text = String.valueOf(next.getMessage());
        if (next instanceof UnknownHostException && text.contains(": ")) {
          momentary = MOMENTARY.matcher(text).find();
        }
        mistake |= !reached && isMistake(next, momentary);
      }
      connection = (cause == null ? "" : "; " + cause) + "; gateway at " + address;
    }
    return momentary;
  }

  private static boolean isMistake(Throwable cause, boolean momentary) {
    return cause instanceof UnknownHostException && !momentary
        || cause instanceof CertificateException
        || cause instanceof SSLPeerUnverifiedException
        || cause instanceof SSLException && String.valueOf(cause.getMessage()).contains(NOT_TLS);
  }

  /** Adds to a timeout the failure before it; null is none. */
  void after(DetailedException before) {
    if (before != null && reason().isEmpty() && code() == Status.Code.DEADLINE_EXCEEDED) {
      connection += "; before that: " + before.description();
    }
  }

  /**
   * Returns the reason or code, the gateway's message, and the field violations that the message does not contain; for
   * an error of the connection its cause and the gateway's address.
   */
  @Override
  public String getMessage() {
    String label = !reason().isEmpty() ? reason() : code() != null ? code().name() : getClass().getSimpleName();
    String fields = fieldViolations().stream()
        .filter(violation -> !description().contains(violation.getDescription()))
        .map(violation -> violation.getField() + ": " + violation.getDescription())
        .collect(Collectors.joining("; "));
    return label + ": " + description() + (fields.isEmpty() ? "" : " (" + fields + ")") + connection;
  }
}
