package io.github.hfgateway.client;

import io.github.hfgateway.v1.FieldViolation;
import io.github.hfgateway.v1.Generation;
import io.github.hfgateway.v1.GenerationInput;
import io.github.hfgateway.v1.SubmitGenerationRequest;
import io.github.hfgateway.v1.WaitFor;
import io.github.hfgateway.v1.WatchGenerationRequest;
import java.time.Duration;
import java.util.Objects;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;

/** A submission with its options. Immutable: every method returns a new instance. */
public final class Submit {
  private final SubmitGenerationRequest request;
  private final String key;
  final Duration timeout;
  private final Duration forecastInterval;
  final Consumer<? super FieldViolation> onWarning;

  private Submit(SubmitGenerationRequest request, String key, Duration timeout, Duration forecastInterval,
      Consumer<? super FieldViolation> onWarning) {
    this.request = request;
    this.key = key;
    this.timeout = timeout;
    this.forecastInterval = forecastInterval;
    this.onWarning = onWarning;
  }

  /** Submits this input with the default options, and with a new idempotency key each time. */
  public static Submit of(GenerationInput input) {
    SubmitGenerationRequest request = SubmitGenerationRequest.newBuilder().setInput(input).build();
    return new Submit(request, null, null, Duration.ofSeconds(2), warning -> {});
  }

  /**
   * Sets the idempotency key. Use one key for each generation that you want, such as an order number, and the same key
   * for every retry. Default: a new UUID.
   */
  public Submit key(String key) {
    return new Submit(request, Objects.requireNonNull(key), timeout, forecastInterval, onWarning);
  }

  /** Adds a label, which lists and watches can filter by. At most 32. */
  public Submit label(String name, String value) {
    return with(request -> request.putLabels(name, value));
  }

  /**
   * Sets when {@code submit} returns. Default: when Higgsfield has accepted or refused the generation. {@code generate}
   * ignores it.
   */
  public Submit waitFor(WaitFor state) {
    return with(request -> request.setWaitFor(state));
  }

  /**
   * Limits how long {@code submit} waits for that, up to 1 hour, in addition to the timeout of the call. Default: 10 s.
   * At the end of the wait, the generation is returned as it is.
   */
  public Submit waitTimeout(Duration timeout) {
    return with(request -> request.setWaitTimeout(Durations.of(timeout)));
  }

  /** Makes the gateway cancel the generation if it has not started within this time. Default: no limit. */
  public Submit startTimeout(Duration timeout) {
    return with(request -> request.setStartTimeout(Durations.of(timeout)));
  }

  /** Fails with UPSTREAM_SATURATED if Higgsfield is saturated, instead of queueing in the gateway. */
  public Submit failWhenSaturated() {
    return with(request -> request.setFailWhenSaturated(true));
  }

  /**
   * Makes Higgsfield delete the outputs after this time, at least 1 hour. Default and maximum: the setting of the
   * Higgsfield account.
   */
  public Submit outputsTtl(Duration ttl) {
    return with(request -> request.setOutputsTtl(Durations.of(ttl)));
  }

  /** Sets where signed deliveries about it are sent. The tenant must have a callback without a URL. Default: none. */
  public Submit callbackUrl(String url) {
    return with(request -> request.setCallbackUrl(url));
  }

  /**
   * Limits the call, including retries. Default: the client's timeout for {@code submit}, and no limit for
   * {@code generate}. The generation continues after a timeout.
   */
  public Submit timeout(Duration timeout) {
    return new Submit(request, key, timeout, forecastInterval, onWarning);
  }

  /**
   * Sets after how long without a change {@code generate} reports a newer forecast, at least 1 s. Default: 2 s; zero
   * turns forecasts off.
   */
  public Submit forecastInterval(Duration interval) {
    if (interval.isNegative()) throw new IllegalArgumentException("the interval is negative");
    return new Submit(request, key, timeout, interval, onWarning);
  }

  /**
   * Calls the hook with each warning about the input, if {@code generate} submits it; see {@link Submission#warnings}.
   * It runs on a thread of the client.
   */
  public Submit onWarning(Consumer<? super FieldViolation> hook) {
    return new Submit(request, key, timeout, forecastInterval, Objects.requireNonNull(hook));
  }

  /** Returns the request. It always has a key, because a retry without one would create a second generation. */
  SubmitGenerationRequest request() {
    return request.toBuilder().setIdempotencyKey(key != null ? key : UUID.randomUUID().toString()).build();
  }

  /** Returns the request for the changes after a generation. */
  WatchGenerationRequest watchRequest(Generation known) {
    WatchGenerationRequest.Builder watch =
        WatchGenerationRequest.newBuilder().setId(known.getId()).setAfterRevision(known.getRevision());
    if (!forecastInterval.isZero()) watch.setForecastInterval(Durations.of(forecastInterval));
    return watch.build();
  }

  private Submit with(UnaryOperator<SubmitGenerationRequest.Builder> change) {
    return new Submit(change.apply(request.toBuilder()).build(), key, timeout, forecastInterval, onWarning);
  }
}
