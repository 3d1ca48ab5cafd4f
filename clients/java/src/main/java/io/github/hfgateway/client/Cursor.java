package io.github.hfgateway.client;

import io.github.hfgateway.v1.WatchGenerationsResponse;
import java.util.ArrayList;
import java.util.List;

/**
 * Where a watch of many generations stands: it makes events of the messages of one watch, over all its streams, and knows
 * what a broken one must send to go on. It does no I/O.
 *
 * <p>The gateway's tokens resume without a gap right behind their message; only where a stream begins with the present, for
 * want of a token or after a reset, a token from before caught_up starts over. A stream that broke there is opened without
 * one; the generations that ended meanwhile would go missing in silence, so {@link WatchEvent.Reset} is told first.
 */
final class Cursor {
  private String token;
  private boolean beginsWithThePresent = true;
  private boolean toldSomeOfIt;
  private boolean toldCaughtUp;
  private List<String> toldMissing = List.of();

  Cursor(String resumeToken) {
    token = resumeToken;
  }

  /** The token to open the next stream with. */
  String resumeToken() {
    return token;
  }

  /** What to tell before the first message of a stream. */
  List<WatchEvent> streamOpened() {
    beginsWithThePresent = token.isEmpty();
    return beginsWithThePresent && toldSomeOfIt ? List.of(reset()) : List.of();
  }

  /** What a message tells. The last event is the first to carry its token: the others would skip the rest. */
  List<WatchEvent> received(WatchGenerationsResponse message) {
    List<WatchEvent> events = new ArrayList<>();
    if (message.getReset()) {
      token = "";
      beginsWithThePresent = true;
      events.add(reset());
    }
    List<String> missing = List.copyOf(message.getMissingIdsList());
    if (!missing.isEmpty() && !missing.equals(toldMissing)) {
      toldMissing = missing;
      events.add(new WatchEvent.Missing(token, missing));
    }
    boolean caughtUp = message.getCaughtUp() && !toldCaughtUp;
    boolean forecasts = message.getForecastsCount() > 0;
    String after = tokenAfter(message);
    if (message.hasGeneration()) {
      toldSomeOfIt = true;
      events.add(new WatchEvent.Changed(forecasts || caughtUp ? token : after, message.getGeneration()));
    }
    if (forecasts) {
      events.add(new WatchEvent.Forecasts(caughtUp ? token : after, message.getForecastsMap()));
    }
    if (caughtUp) {
      toldCaughtUp = true;
      events.add(new WatchEvent.CaughtUp(after));
    }
    token = after;
    if (message.getCaughtUp()) {
      beginsWithThePresent = false;
    }
    return events;
  }

  private String tokenAfter(WatchGenerationsResponse message) {
    boolean startsOver = beginsWithThePresent && !message.getCaughtUp();
    return startsOver || message.getResumeToken().isEmpty() ? token : message.getResumeToken();
  }

  private WatchEvent reset() {
    toldSomeOfIt = false;
    toldCaughtUp = false;
    toldMissing = List.of();
    return new WatchEvent.Reset(token);
  }
}
