/**
 * The position of a watch of many generations, and the token with which a broken one resumes. Pure: it does no I/O.
 *
 * A resume token continues right after its message. The exception is a snapshot, at the start of a stream without a
 * token or after a reset: a token received before `caught_up` starts the snapshot again. If a stream breaks there, the
 * next one is opened without a token. Generations that ended in between are missing from its snapshot, so a reset is
 * reported first.
 */

import type { WatchEvent } from "./events.js";
import type { WatchGenerationsResponse } from "./gen/hfgateway/v1/generation_service_pb.js";

/** Turns the messages of one watch, over all its streams, into events. */
export class WatchCursor {
  #resumeToken: string;
  #inSnapshot = true;
  #sentSome = false;
  #sentCaughtUp = false;
  #sentMissing = "";

  constructor(resumeToken: string) {
    this.#resumeToken = resumeToken;
  }

  /** The token with which to open the next stream. */
  get resumeToken(): string {
    return this.#resumeToken;
  }

  /** Yields the events to report before the first message of a stream. */
  *streamOpened(): Generator<WatchEvent> {
    this.#inSnapshot = !this.#resumeToken;
    if (this.#inSnapshot && this.#sentSome) yield this.#reset();
  }

  /**
   * Yields the events of a message. Only the last one carries the message's token: if an earlier one did, resuming from
   * it would skip the rest.
   */
  *received(message: WatchGenerationsResponse): Generator<WatchEvent> {
    if (message.reset) {
      this.#resumeToken = "";
      this.#inSnapshot = true;
      yield this.#reset();
    }
    const missing = message.missingIds.join("\n");
    if (missing && missing !== this.#sentMissing) {
      this.#sentMissing = missing;
      yield { type: "missing", resumeToken: this.#resumeToken, ids: [...message.missingIds] };
    }

    const before = this.#resumeToken;
    const after = this.#tokenAfter(message);
    const { generation, forecasts } = message;
    const forecast = Object.keys(forecasts).length > 0;
    const caughtUp = message.caughtUp && !this.#sentCaughtUp;

    if (generation) {
      this.#sentSome = true;
      yield { type: "changed", resumeToken: forecast || caughtUp ? before : after, generation };
    }
    if (forecast) yield { type: "forecasts", resumeToken: caughtUp ? before : after, forecasts };
    if (caughtUp) {
      this.#sentCaughtUp = true;
      yield { type: "caughtUp", resumeToken: after };
    }
    this.#resumeToken = after;
    if (message.caughtUp) this.#inSnapshot = false;
  }

  #tokenAfter(message: WatchGenerationsResponse): string {
    if (this.#inSnapshot && !message.caughtUp) return this.#resumeToken;
    return message.resumeToken || this.#resumeToken;
  }

  #reset(): WatchEvent {
    this.#sentSome = false;
    this.#sentCaughtUp = false;
    this.#sentMissing = "";
    return { type: "reset", resumeToken: this.#resumeToken };
  }
}
