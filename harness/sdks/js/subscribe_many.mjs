// Many calls of subscribe() by one client of the official SDK, so many at once. From standard input {client, endpoint,
// prompts, atOnce} as JSON; to standard output, for each prompt, one line of JSON with what its caller was told.
import { text } from "node:stream/consumers";

import { createHiggsfieldClient } from "@higgsfield/client/v2";

const { client, endpoint, prompts, atOnce } = JSON.parse(await text(process.stdin));
const higgsfield = createHiggsfieldClient(client);

async function told(prompt) {
  try {
    const { status, request_id } = await higgsfield.subscribe(endpoint, { input: { prompt } });
    return { prompt, status, request: request_id };
  } catch (error) {
    return { prompt, error: error.constructor.name };
  }
}

async function caller() {
  for (let prompt = prompts.shift(); prompt !== undefined; prompt = prompts.shift()) {
    console.log(JSON.stringify(await told(prompt)));
  }
}

await Promise.all(Array.from({ length: atOnce }, caller));
