/** Observes the connection to the gateway, because the client resumes a broken stream without notice. */

import { connect, type Protocol } from "@hfgateway/client/browser";

/** The state of the connection; `stopped` if the page does not try again. */
export type LineState = "connecting" | "live" | "reconnecting" | "stopped";

/** Returns the Connect protocol, with a callback for the state of its streams. */
export function observedLine(onState: (state: LineState) => void): Protocol {
  return (baseUrl) => {
    const transport = connect(baseUrl);
    onState("connecting");
    return {
      unary: (...call) => transport.unary(...call),
      async stream(...call) {
        try {
          const response = await transport.stream(...call);
          // The headers show that the gateway answers; the first message of a watch may take a while.
          onState("live");
          return { ...response, message: observed(response.message, () => onState("reconnecting")) };
        } catch (error) {
          onState("reconnecting");
          throw error;
        }
      },
    };
  };
}

async function* observed<T>(messages: AsyncIterable<T>, onError: () => void): AsyncGenerator<T, void, undefined> {
  try {
    yield* messages;
  } catch (error) {
    onError();
    throw error;
  }
}
