/**
 * Runs the named behaviours, or all, one after the other, and prints a line of JSON for each.
 *
 *     node build/behaviours/main.js [--transport grpc] [NAME…]
 *
 * `--transport connect` and `--transport grpc-web` test the entry for browsers, over fetch. With several transports,
 * separated by commas, a behaviour must pass over each.
 */

import { parseArgs } from "node:util";
import { ACCESS, TLS } from "./access.js";
import { CALLBACKS } from "./callbacks.js";
import { CATALOGS } from "./catalogs.js";
import { CHARACTERS } from "./characters.js";
import { CONNECTION, CONNECTION_OVER_GRPC } from "./connection.js";
import { ENDING } from "./ending.js";
import { FOLLOWING } from "./following.js";
import { type Behaviour, type Behaviours, Stage, TRANSPORTS, type Transport } from "./stage.js";
import { SUBMITTING } from "./submitting.js";
import { UPLOADS } from "./uploads.js";

const PATIENCE_MS = 90_000;

async function run(transports: Transport[], names: string[]): Promise<boolean> {
  const grpcAlone = transports.every((transport) => transport === "grpc");
  const all: Behaviours = {
    ...SUBMITTING,
    ...FOLLOWING,
    ...ENDING,
    ...ACCESS,
    ...CONNECTION,
    ...UPLOADS,
    ...CATALOGS,
    ...CHARACTERS,
    ...CALLBACKS,
    ...(grpcAlone && TLS),
    ...(grpcAlone && CONNECTION_OVER_GRPC),
  };
  const stages = transports.map((transport) => new Stage(transport));
  let held = true;
  for (const name of names.length > 0 ? names : Object.keys(all)) {
    const error = await judged(all[name], stages);
    console.log(JSON.stringify({ behaviour: name, ok: error === undefined, ...(error && { error }) }));
    held &&= error === undefined;
  }
  for (const stage of stages) await stage.client.close();
  return held;
}

/** Returns the error of a behaviour, if it fails. */
async function judged(behaviour: Behaviour | undefined, stages: Stage[]): Promise<string | undefined> {
  if (!behaviour) return "unknown behaviour";
  for (const stage of stages) {
    try {
      await inTime(behaviour(stage));
    } catch (error) {
      console.error(error);
      return `${stage.transport}: ${error}`;
    }
  }
  return undefined;
}

function inTime(performance: Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not done after ${PATIENCE_MS} ms`)), PATIENCE_MS);
    performance.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

const { values, positionals } = parseArgs({
  options: { transport: { type: "string", default: "grpc" } },
  allowPositionals: true,
});
const transports = values.transport.split(",").map((name) => {
  const transport = TRANSPORTS.find((known) => known === name);
  if (!transport) throw new Error(`unknown transport: ${name}`);
  return transport;
});
// Do not wait for behaviours that timed out.
process.exit((await run(transports, positionals)) ? 0 : 1);
