/**
 * Where a watch of many generations stands, and what a broken one must send to go on. Pure: it does no I/O.
 *
 * The gateway's tokens resume without a gap right behind their message; only where a stream begins with the present, for
 * want of a token or after a reset, a token from before `caught_up` starts over. A stream that broke there is opened
 * without one; the generations that ended meanwhile would go missing in silence, so a reset is told first.
 */

import type { WatchEvent } from "./events.js";
import type { WatchGenerationsResponse } from "./gen/hfgateway/v1/generation_service_pb.js";

/** Turns the messages of one watch, over all its streams, into events. */
export class WatchCursor {
  #resumeToken: string;
  #beginsWithThePresent = true;
  #toldSomeOfIt = false;
  #toldCaughtUp = false;
  #toldMissing = "";

  constructor(resumeToken: string) {
    this.#resumeToken = resumeToken;
  }

  /** The token to open the next stream with. */
  get resumeToken(): string {
    return this.#resumeToken;
  }

  /** What to tell before the first message of a stream. */
  *streamOpened(): Generator<WatchEvent> {
    this.#beginsWithThePresent = !this.#resumeToken;
    if (this.#beginsWithThePresent && this.#toldSomeOfIt) yield this.#reset();
  }

  /** What a message tells. The last event is the first to carry its token: the others would skip the rest. */
  *received(message: WatchGenerationsResponse): Generator<WatchEvent> {
    if (message.reset) {
      this.#resumeToken = "";
      this.#beginsWithThePresent = true;
      yield this.#reset();
    }
    const missing = message.missingIds.join("\n");
    if (missing && missing !== this.#toldMissing) {
      this.#toldMissing = missing;
      yield { type: "missing", resumeToken: this.#resumeToken, ids: [...message.missingIds] };
    }

    const before = this.#resumeToken;
    const after = this.#tokenAfter(message);
    const { generation, forecasts } = message;
    const forecast = Object.keys(forecasts).length > 0;
    const caughtUp = message.caughtUp && !this.#toldCaughtUp;

    if (generation) {
      this.#toldSomeOfIt = true;
      yield { type: "changed", resumeToken: forecast || caughtUp ? before : after, generation };
    }
    if (forecast) yield { type: "forecasts", resumeToken: caughtUp ? before : after, forecasts };
    if (caughtUp) {
      this.#toldCaughtUp = true;
      yield { type: "caughtUp", resumeToken: after };
    }
    this.#resumeToken = after;
    if (message.caughtUp) this.#beginsWithThePresent = false;
  }

  #tokenAfter(message: WatchGenerationsResponse): string {
    if (this.#beginsWithThePresent && !message.caughtUp) return this.#resumeToken;
    return message.resumeToken || this.#resumeToken;
  }

  #reset(): WatchEvent {
    this.#toldSomeOfIt = false;
    this.#toldCaughtUp = false;
    this.#toldMissing = "";
    return { type: "reset", resumeToken: this.#resumeToken };
  }
}
