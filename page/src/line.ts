/** The line to the gateway, as a page sees it: the client resumes a broken stream by itself, and says nothing of it. */

import { connect, type Protocol } from "@hfgateway/client/browser";

export type LineState = "connecting" | "live" | "reconnecting";

/** The Connect protocol, with somebody told how its streams fare. */
export function watchedLine(told: (state: LineState) => void): Protocol {
  return (baseUrl) => {
    const transport = connect(baseUrl);
    let state: LineState = "connecting";
    const become = (next: LineState) => {
      if (next !== state) told(next);
      state = next;
    };
    told(state);
    return {
      unary: (...call) => transport.unary(...call),
      async stream(...call) {
        try {
          const response = await transport.stream(...call);
          // Headers alone are the gateway's word that it is there: a watch may have nothing to tell for a while.
          become("live");
          return { ...response, message: heard(response.message, () => become("reconnecting")) };
        } catch (error) {
          become("reconnecting");
          throw error;
        }
      },
    };
  };
}

async function* heard<T>(messages: AsyncIterable<T>, broke: () => void): AsyncGenerator<T, void, undefined> {
  try {
    yield* messages;
  } catch (error) {
    broke();
    throw error;
  }
}
