package io.github.hfgateway.client;

import io.github.hfgateway.v1.WatchGenerationsResponse;
import java.util.ArrayList;
import java.util.List;

/**
 * The position of a watch of many generations. It turns the messages of all streams of one watch into events, and keeps
 * the token with which the next stream resumes. It does no I/O.
 *
 * <p>A resume token continues right after its message. The exception is a snapshot, at the start of a stream without a
 * token or after a reset: a token received before caught_up starts the snapshot again. If a stream breaks there, the
 * next one is opened without a token. Generations that ended in between are missing from its snapshot, so a
 * {@link WatchEvent.Reset} is reported first.
 */
final class Cursor {
  private String token;
  private boolean inSnapshot = true;
  private boolean sentSome;
  private boolean sentCaughtUp;
  private List<String> sentMissing = List.of();

  Cursor(String resumeToken) {
    token = resumeToken;
  }

  /** Returns the token with which to open the next stream. */
  String resumeToken() {
    return token;
  }

  /** Returns the events to report before the first message of a stream. */
  List<WatchEvent> streamOpened() {
    inSnapshot = token.isEmpty();
    return inSnapshot && sentSome ? List.of(reset()) : List.of();
  }

  /**
   * Returns the events of a message. Only the last one carries the message's token: if an earlier one did, resuming
   * from it would skip the rest.
   */
  List<WatchEvent> received(WatchGenerationsResponse message) {
    List<WatchEvent> events = new ArrayList<>();
    if (message.getReset()) {
      token = "";
      inSnapshot = true;
      events.add(reset());
    }
    List<String> missing = List.copyOf(message.getMissingIdsList());
    if (!missing.isEmpty() && !missing.equals(sentMissing)) {
      sentMissing = missing;
      events.add(new WatchEvent.Missing(token, missing));
    }
    boolean caughtUp = message.getCaughtUp() && !sentCaughtUp;
    boolean forecasts = message.getForecastsCount() > 0;
    String after = tokenAfter(message);
    if (message.hasGeneration()) {
      sentSome = true;
      events.add(new WatchEvent.Changed(forecasts || caughtUp ? token : after, message.getGeneration()));
    }
    if (forecasts) {
      events.add(new WatchEvent.Forecasts(caughtUp ? token : after, message.getForecastsMap()));
    }
    if (caughtUp) {
      sentCaughtUp = true;
      events.add(new WatchEvent.CaughtUp(after));
    }
    token = after;
    if (message.getCaughtUp()) {
      inSnapshot = false;
    }
    return events;
  }

  private String tokenAfter(WatchGenerationsResponse message) {
    boolean startsOver = inSnapshot && !message.getCaughtUp();
    return startsOver || message.getResumeToken().isEmpty() ? token : message.getResumeToken();
  }

  private WatchEvent reset() {
    sentSome = false;
    sentCaughtUp = false;
    sentMissing = List.of();
    return new WatchEvent.Reset(token);
  }
}
