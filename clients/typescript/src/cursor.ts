/**
 * The position of a watch of many generations, and the token with which a broken one resumes. Pure: it does no I/O.
 *
 * A resume token continues right after its message, also within the snapshot at the start of a watch.
 */

import type { WatchEvent } from "./events.js";
import type { WatchGenerationsResponse } from "./gen/hfgateway/v1/generation_service_pb.js";

/** Turns the messages of one watch, over all its streams, into events. */
export class WatchCursor {
  #resumeToken: string;
  #sentCaughtUp = false;
  #sentMissing = "";

  constructor(resumeToken: string) {
    this.#resumeToken = resumeToken;
  }

  /** The token with which to open the next stream. */
  get resumeToken(): string {
    return this.#resumeToken;
  }

  /**
   * Yields the events of a message. Only the last one carries the message's token: if an earlier one did, resuming from
   * it would skip the rest.
   */
  *received(message: WatchGenerationsResponse): Generator<WatchEvent> {
    if (message.reset) {
      this.#resumeToken = "";
      this.#sentCaughtUp = false;
      this.#sentMissing = "";
      yield { type: "reset", resumeToken: "" };
    }
    const missing = message.missingIds.join("\n");
    if (missing && missing !== this.#sentMissing) {
      this.#sentMissing = missing;
      yield { type: "missing", resumeToken: this.#resumeToken, ids: [...message.missingIds] };
    }

    const before = this.#resumeToken;
    const after = message.resumeToken || before;
    const { generation, forecasts } = message;
    const forecast = Object.keys(forecasts).length > 0;
    const caughtUp = message.caughtUp && !this.#sentCaughtUp;

    if (generation) yield { type: "changed", resumeToken: forecast || caughtUp ? before : after, generation };
    if (forecast) yield { type: "forecasts", resumeToken: caughtUp ? before : after, forecasts };
    if (caughtUp) {
      this.#sentCaughtUp = true;
      yield { type: "caughtUp", resumeToken: after };
    }
    this.#resumeToken = after;
  }
}
