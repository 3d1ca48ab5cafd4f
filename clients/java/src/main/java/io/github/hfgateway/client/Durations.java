package io.github.hfgateway.client;

import com.google.protobuf.Duration;

/** Conversions of durations. */
final class Durations {
  private Durations() {}

  static Duration of(java.time.Duration duration) {
    return Duration.newBuilder().setSeconds(duration.getSeconds()).setNanos(duration.getNano()).build();
  }

  static java.time.Duration of(Duration message) {
    return java.time.Duration.ofSeconds(message.getSeconds(), message.getNanos());
  }
}
