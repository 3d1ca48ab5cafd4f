// Calls subscribe() of one official SDK client for many prompts, `atOnce` calls at a time. Reads {client, endpoint,
// prompts, atOnce} as JSON from standard input, and writes the outcome of each prompt as a line of JSON.
import { text } from "node:stream/consumers";

import { createHiggsfieldClient } from "@higgsfield/client/v2";

const { client, endpoint, prompts, atOnce } = JSON.parse(await text(process.stdin));
const higgsfield = createHiggsfieldClient(client);

async function outcome(prompt) {
  try {
    const { status, request_id } = await higgsfield.subscribe(endpoint, { input: { prompt } });
    return { prompt, status, request: request_id };
  } catch (error) {
    return { prompt, error: error.constructor.name };
  }
}

async function caller() {
  for (let prompt = prompts.shift(); prompt !== undefined; prompt = prompts.shift()) {
    console.log(JSON.stringify(await outcome(prompt)));
  }
}

await Promise.all(Array.from({ length: atOnce }, caller));
