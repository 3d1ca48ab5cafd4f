package io.github.hfgateway.client;

import io.github.hfgateway.v1.WatchGenerationsResponse;
import java.util.ArrayList;
import java.util.List;

/**
 * The position of a watch of many generations. It turns the messages of all streams of one watch into events, and keeps
 * the token with which the next stream resumes. It does no I/O.
 *
 * <p>A resume token continues right after its message, also within the snapshot at the start of a watch.
 */
final class Cursor {
  /** The token with which to open the next stream. */
  String token;

  private boolean sentCaughtUp;
  private List<String> sentMissing = List.of();

  Cursor(String resumeToken) {
    token = resumeToken;
  }

  /**
   * Returns the events of a message. Only the last one carries the message's token: if an earlier one did, resuming
   * from it would skip the rest.
   */
  List<WatchEvent> received(WatchGenerationsResponse message) {
    List<WatchEvent> events = new ArrayList<>();
    if (message.getReset()) {
      token = "";
      sentCaughtUp = false;
      sentMissing = List.of();
      events.add(new WatchEvent.Reset(token));
    }
    List<String> missing = List.copyOf(message.getMissingIdsList());
    if (!missing.isEmpty() && !missing.equals(sentMissing)) {
      sentMissing = missing;
      events.add(new WatchEvent.Missing(token, missing));
    }
    boolean caughtUp = message.getCaughtUp() && !sentCaughtUp;
    boolean forecasts = message.getForecastsCount() > 0;
    String after = message.getResumeToken().isEmpty() ? token : message.getResumeToken();
    if (message.hasGeneration()) {
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
    return events;
  }
}
