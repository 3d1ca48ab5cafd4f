/** Joins everything: asks who looks where the gateway wants to know, watches, and shows what is told. */

import {
  createClient,
  type GatewayClient,
  GatewayError,
  type Generation,
  InvalidCredentials,
} from "@hfgateway/client/browser";
import { Board, parseLabels } from "./board.js";
import { type LineState, watchedLine } from "./line.js";
import { forget, mayAct, remember, rememberedCredential } from "./session.js";
import { showStory } from "./story.js";
import { part, View, wording } from "./view.js";

const ENDED_AT_FIRST = 50;
const ENDED_STATES = ["COMPLETED", "FAILED", "NSFW", "CANCELED", "LOST"] as const;
const FORECAST_EVERY_MS = 1000;
const LINE: Record<LineState, string> = { connecting: "Connecting…", live: "Live", reconnecting: "Reconnecting…" };

const board = new Board();
const view = new View(board, {
  cancel: (id) => void act((client) => client.cancel(id).then(seen)),
  story: (id) => void act((client) => client.explain(id).then(showStory)),
});

let credential = rememberedCredential();
let labels: Record<string, string> = {};
let client: GatewayClient | undefined;
let watching = new AbortController();
let drawing = 0;

/** Begins anew: with another credential, or another filter. */
function begin(): void {
  watching.abort();
  watching = new AbortController();
  board.clear();
  view.mayAct = mayAct(credential);
  part("login").hidden = true;
  part("forget").hidden = !credential;
  part("board").hidden = false;
  complain("");
  void client?.close();
  client = createClient({
    apiKey: credential || undefined,
    protocol: watchedLine(showLine),
    // A page that is open stays open: over a night, and over any restart.
    retry: { resumeWatchesForMs: Number.POSITIVE_INFINITY },
  });
  draw();
  const { signal } = watching;
  void watch(client, signal).catch((error: unknown) => {
    // Another watch has taken its place: nobody waits for this one.
    if (!signal.aborted) failed(error);
  });
}

async function watch(client: GatewayClient, signal: AbortSignal): Promise<void> {
  const options = { labels, includeInput: true, forecastIntervalMs: FORECAST_EVERY_MS, signal };
  let told = false;
  for await (const event of client.watchMany(options)) {
    switch (event.type) {
      case "changed":
        seen(event.generation);
        break;
      case "forecasts":
        for (const [id, forecast] of Object.entries(event.forecasts)) {
          const generation = board.foresee(id, forecast);
          if (generation) view.drawForecast(generation);
        }
        break;
      case "reset":
        board.clear();
        break;
      case "caughtUp":
        // What ended before: once the stream is there nothing that ends now can be missed.
        await readEnded(client, signal);
        told = true;
        break;
      case "missing":
        break;
    }
    if (told) draw();
  }
}

async function readEnded(client: GatewayClient, signal: AbortSignal): Promise<void> {
  let left = ENDED_AT_FIRST;
  const options = { states: ENDED_STATES, labels, includeInput: true, pageSize: ENDED_AT_FIRST, signal };
  for await (const generation of client.list(options)) {
    board.tell(generation);
    left -= 1;
    if (left <= 0) break;
  }
}

function seen(generation: Generation): void {
  const before = board.get(generation.id)?.state;
  if (!board.tell(generation)) return;
  if (before !== undefined && before !== generation.state) {
    part("announcements").textContent = `${wording(generation.state)}: ${generation.modelId}`;
  }
  draw();
}

/** Once a frame, however much is told. */
function draw(): void {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    view.draw();
  });
}

async function act(action: (client: GatewayClient) => Promise<void>): Promise<void> {
  complain("");
  try {
    if (client) await action(client);
  } catch (error) {
    failed(error);
  }
}

function failed(error: unknown): void {
  if (error instanceof InvalidCredentials) {
    askWhoLooks(error);
  } else if (error instanceof GatewayError) {
    complain(error.message);
  } else {
    throw error;
  }
}

function askWhoLooks(error: InvalidCredentials): void {
  watching.abort();
  const had = credential;
  credential = "";
  forget();
  part("board").hidden = true;
  part("forget").hidden = true;
  showLine("connecting");
  part("line").textContent = "Not connected";
  part("login").hidden = false;
  part("login-why").textContent = had ? why(error) : "This gateway asks who looks.";
  (part("credential") as HTMLInputElement).focus();
}

function why(error: InvalidCredentials): string {
  if (error.metadata["expired"]) return "Your watch token has expired. Ask for a new one where you got it.";
  return `That did not work: ${error.message}.`;
}

function complain(text: string): void {
  part("trouble").textContent = text;
  part("trouble").hidden = !text;
}

function showLine(state: LineState): void {
  const line = part("line");
  line.textContent = LINE[state];
  line.dataset["state"] = state;
}

part("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = part("credential") as HTMLInputElement;
  credential = input.value.trim();
  input.value = "";
  remember(credential);
  begin();
});

part("forget").addEventListener("click", () => {
  forget();
  credential = "";
  begin();
});

part("filter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  try {
    labels = parseLabels((part("labels") as HTMLInputElement).value);
    begin();
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
  }
});

part("story-close").addEventListener("click", () => (part("story") as HTMLDialogElement).close());

begin();

