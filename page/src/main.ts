/** Starts the page: asks for a credential if the gateway demands one, watches, and shows the changes. */

import {
  createClient,
  type GatewayClient,
  GatewayError,
  type Generation,
  InvalidCredentials,
} from "@hfgateway/client/browser";
import { Board, parseLabels } from "./board.js";
import { type LineState, observedLine } from "./line.js";
import { forget, mayAct, remember, rememberedCredential } from "./session.js";
import { showTimeline } from "./timeline.js";
import { part, titleOf, View, wording } from "./view.js";

const ENDED_AT_FIRST = 50;
const ENDED_STATES = ["COMPLETED", "FAILED", "NSFW", "CANCELED", "LOST"] as const;
const FORECAST_EVERY_MS = 1000;
const LINE: Record<LineState, string> = { connecting: "Connecting…", live: "Live", reconnecting: "Reconnecting…" };

const board = new Board();
const view = new View(board, {
  cancel: (id) => void act((client) => client.cancel(id).then(show)),
  timeline: (id) => void act((client) => client.explain(id).then(showTimeline)),
});

let credential = rememberedCredential();
let labels: Record<string, string> = {};
let client: GatewayClient | undefined;
let watching = new AbortController();
let drawing = 0;

/** Starts to watch, or starts again with another credential or filter. */
function start(): void {
  watching.abort();
  watching = new AbortController();
  board.clear();
  view.mayAct = mayAct(credential);
  part("login").hidden = true;
  part("forget").hidden = !credential;
  part("board").hidden = false;
  showError("");
  void client?.close();
  client = createClient({
    apiKey: credential || undefined,
    protocol: observedLine(showLine),
    // An open page resumes after any outage, however long.
    retry: { resumeWatchesForMs: Number.POSITIVE_INFINITY },
  });
  draw();
  const { signal } = watching;
  void watch(client, signal).catch((error: unknown) => {
    // If the watch was aborted, another one has replaced it.
    if (!signal.aborted) failed(error);
  });
}

async function watch(client: GatewayClient, signal: AbortSignal): Promise<void> {
  const options = { labels, includeInput: true, forecastIntervalMs: FORECAST_EVERY_MS, signal };
  let complete = false;
  for await (const event of client.watchMany(options)) {
    switch (event.type) {
      case "changed":
        show(event.generation);
        break;
      case "forecasts":
        for (const [id, forecast] of Object.entries(event.forecasts)) {
          const generation = board.updateForecast(id, forecast);
          if (generation) view.drawForecast(generation);
        }
        break;
      case "reset":
        board.clear();
        break;
      case "caughtUp":
        // Read the ended generations only now: from here on, the stream reports every end.
        await readEnded(client, signal);
        complete = true;
        break;
      case "missing":
        break;
    }
    if (complete) draw();
  }
}

async function readEnded(client: GatewayClient, signal: AbortSignal): Promise<void> {
  let left = ENDED_AT_FIRST;
  const options = { states: ENDED_STATES, labels, includeInput: true, pageSize: ENDED_AT_FIRST, signal };
  for await (const generation of client.list(options)) {
    board.update(generation);
    left -= 1;
    if (left <= 0) break;
  }
}

function show(generation: Generation): void {
  const before = board.get(generation.id)?.state;
  if (!board.update(generation)) return;
  if (before !== undefined && before !== generation.state) {
    part("announcements").textContent = `${wording(generation.state)}: ${generation.modelId || titleOf(generation)}`;
  }
  draw();
}

/** Draws at most once per frame. */
function draw(): void {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    view.draw();
  });
}

async function act(action: (client: GatewayClient) => Promise<void>): Promise<void> {
  showError("");
  try {
    if (client) await action(client);
  } catch (error) {
    failed(error);
  }
}

function failed(error: unknown): void {
  if (error instanceof InvalidCredentials) {
    askForCredential(error);
  } else if (error instanceof GatewayError) {
    showError(error.message);
  } else {
    throw error;
  }
}

function askForCredential(error: InvalidCredentials): void {
  watching.abort();
  const had = credential;
  credential = "";
  forget();
  part("board").hidden = true;
  part("forget").hidden = true;
  showLine("connecting");
  part("line").textContent = "Not connected";
  part("login").hidden = false;
  part("login-why").textContent = had ? why(error) : "This gateway requires an API key or a watch token.";
  (part("credential") as HTMLInputElement).focus();
}

function why(error: InvalidCredentials): string {
  if (error.metadata["expired"]) return "Your watch token has expired. Get a new one from where you got it.";
  return `The login failed: ${error.message}.`;
}

function showError(text: string): void {
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
  start();
});

part("forget").addEventListener("click", () => {
  forget();
  credential = "";
  start();
});

part("filter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  try {
    labels = parseLabels((part("labels") as HTMLInputElement).value);
    start();
  } catch (error) {
    showError(error instanceof Error ? error.message : String(error));
  }
});

part("timeline-close").addEventListener("click", () => (part("timeline") as HTMLDialogElement).close());

start();

