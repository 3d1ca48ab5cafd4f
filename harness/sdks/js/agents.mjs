// Holds a conversation with an agent through the official SDK. Reads {client, steps} as JSON, and writes a list of
// {result} or {error} as JSON.
import { createHiggsfieldClient } from "@higgsfield/client/v2";

// The SDK waits 2 s between polls, and no option changes that.
const realSetTimeout = globalThis.setTimeout;
globalThis.setTimeout = (act, ms, ...rest) => realSetTimeout(act, ms / 100, ...rest);

const { client, steps } = JSON.parse(process.argv[2]);
const { sessions, media } = createHiggsfieldClient(client).agents;
let id = "";

const moves = {
  create: async () => {
    const session = await sessions.create();
    id = session.session_id;
    return session;
  },
  run: ({ text, answer }) => sessions.run(id, text, answer ? { onQuestion: async () => answer } : {}),
  send: ({ text }) => sessions.send(id, text),
  messages: () => sessions.messages(id),
  interrupt: () => sessions.interrupt(id),
  upload: ({ content, extension }) => media.upload(Buffer.from(content), extension),
};

const results = [];
for (const step of steps) {
  try {
    results.push({ result: (await moves[step.do](step)) ?? null });
  } catch (error) {
    const { message, statusCode } = error;
    results.push({ error: { type: error.constructor.name, message, statusCode } });
  }
}
console.log(JSON.stringify(results));
