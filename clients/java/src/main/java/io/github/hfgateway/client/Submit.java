package io.github.hfgateway.client;

import io.github.hfgateway.v1.GenerationInput;
import io.github.hfgateway.v1.SubmitGenerationRequest;
import io.github.hfgateway.v1.WaitFor;
import java.time.Duration;
import java.util.UUID;
import java.util.function.Consumer;

/** A submit and all that can be said about it; immutable: every method makes another one. */
public final class Submit {
  private final SubmitGenerationRequest request;
  private final boolean hasKey;
  private final Duration timeout;

  private Submit(SubmitGenerationRequest request, boolean hasKey, Duration timeout) {
    this.request = request;
    this.hasKey = hasKey;
    this.timeout = timeout;
  }

  /** Of this input, under a fresh key for every time that it is submitted. */
  public static Submit of(GenerationInput input) {
    return new Submit(SubmitGenerationRequest.newBuilder().setInput(input).build(), false, null);
  }

  /** Under the caller's own idempotency key, such as an order number: one for each generation that is meant. */
  public Submit key(String key) {
    Submit keyed = with(request -> request.setIdempotencyKey(key));
    return new Submit(keyed.request, true, timeout);
  }

  /** With one more of the caller's own key-values. */
  public Submit label(String name, String value) {
    return with(request -> request.putLabels(name, value));
  }

  /** What to answer with; the gateway's default is ACCEPTED. {@code generate} has its own. */
  public Submit waitFor(WaitFor state) {
    return with(request -> request.setWaitFor(state));
  }

  /** Within what time to answer; it comes on top of the call's time-out. The gateway's default is 10 s. */
  public Submit waitTimeout(Duration timeout) {
    return with(request -> request.setWaitTimeout(Durations.of(timeout)));
  }

  /** The gateway cancels what has not started by then. */
  public Submit startTimeout(Duration timeout) {
    return with(request -> request.setStartTimeout(Durations.of(timeout)));
  }

  /** Refuse with UPSTREAM_SATURATED instead of queueing at the gateway. */
  public Submit failWhenSaturated() {
    return with(request -> request.setFailWhenSaturated(true));
  }

  /** Ask Higgsfield to delete the outputs earlier than the account's setting. */
  public Submit outputsTtl(Duration ttl) {
    return with(request -> request.setOutputsTtl(Durations.of(ttl)));
  }

  /** The time-out of the call, repeats included; of {@code generate}: until its end, which has none unless it is given. */
  public Submit timeout(Duration timeout) {
    return new Submit(request, hasKey, timeout);
  }

  /** What is sent: always with a key, for a repeat without one would be a second generation. */
  SubmitGenerationRequest request() {
    return hasKey ? request : request.toBuilder().setIdempotencyKey(UUID.randomUUID().toString()).build();
  }

  Duration timeout() {
    return timeout;
  }

  private Submit with(Consumer<SubmitGenerationRequest.Builder> change) {
    SubmitGenerationRequest.Builder builder = request.toBuilder();
    change.accept(builder);
    return new Submit(builder.build(), hasKey, timeout);
  }
}
