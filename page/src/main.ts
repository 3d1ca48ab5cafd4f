/** Starts the page: asks for a credential if the gateway demands one, watches, and shows the changes. */

import {
  ClientClosed,
  createClient,
  DeadlineExceeded,
  type FieldViolation,
  type GatewayClient,
  GatewayError,
  GatewayOverloaded,
  type Generation,
  InvalidCredentials,
  type ListOptions,
  Unavailable,
} from "@hfgateway/client/browser";
import { cameFromInside, type Place, readPlace, writePlace } from "./address.js";
import { Board, ENDED_AT_FIRST } from "./board.js";
import { copy } from "./copy.js";
import { Details } from "./details.js";
import { part, setText } from "./dom.js";
import { FilterBar } from "./filter_bar.js";
import { endedStates, found, hasLabels, parseLabels, selects } from "./filters.js";
import { promptOf, titleOf, wording } from "./format.js";
import { Grid } from "./grid.js";
import { type LineState, observedLine } from "./line.js";
import { forget, keyIdOf, mayAct, remember, rememberedCredential } from "./session.js";
import { SubmitDialog } from "./submit_dialog.js";

const OLDER = 100;
const FORECAST_EVERY_MS = 1000;
const READ_AGAIN_MS = 5000;
const LINE: Record<LineState, string> = {
  connecting: "Connecting…",
  live: "Live",
  reconnecting: "Reconnecting…",
  stopped: "Not connected",
};

let credential = rememberedCredential();
let place = readPlace();
let client: GatewayClient | undefined;
let watching = new AbortController();
let older: Older | undefined;
let complete = false;
/** The labels of the generations that are watched; undefined if the filter's text is not one of labels. */
let labels: Readonly<Record<string, string>> | undefined;
let drawing = false;

/** A list of the ended generations, of which some have been read. The next one is asked for, to know if there is one. */
type Older = {
  read: number;
  next?: Promise<IteratorResult<Generation, void>> | undefined;
  rest: AsyncIterator<Generation, void>;
  /** Returns the list from its start. */
  again(): Older;
};

const board = new Board((generation) => selects(place, generation));
const grid = new Grid({
  copyUrl: ({ outputs }) => void copied("URL", outputs.flatMap(({ url }) => url || []).join("\n")),
  copyPrompt: (generation) => void copied("prompt", promptOf(generation)),
  runAgain: (generation) => submitDialog.openAgain(generation),
  cancel: ({ id }) => void act(async (client) => show(await client.cancel(id))),
  details: ({ id }) => go({ show: id }),
});
const details = new Details(() => {
  if (!place.show) return;
  if (cameFromInside()) history.back();
  else go({ show: "" }, true);
});
const submitDialog = new SubmitDialog({
  client: () => client!,
  keyId: () => keyIdOf(credential),
  submitted,
  failed: (error) => failed(error, false),
});
const filterBar = new FilterBar(go, showError);

/** Connects, or connects again with another credential. */
function connect(): void {
  board.clear();
  grid.clear();
  grid.mayAct = mayAct(credential);
  part("new").hidden = !grid.mayAct;
  part("login").hidden = true;
  part("forget").hidden = !credential;
  part("main").hidden = false;
  part("filter-form").hidden = false;
  void client?.close();
  client = createClient({
    apiKey: credential || undefined,
    protocol: observedLine(showLine),
    // An open page resumes after any outage, however long.
    retry: { resumeWatchesForMs: Number.POSITIVE_INFINITY },
  });
  read();
  showDetails();
}

/** Reads and watches what the filters select. What is shown stays until then. */
function read(): void {
  watching.abort();
  watching = new AbortController();
  board.reread();
  complete = false;
  showError("");
  draw();
  if (document.hidden) return; // it reads when it is shown
  try {
    const { signal } = watching;
    labels = parseLabels(place.label);
    const selection = { labels, modelIds: place.model ? [place.model] : [], signal };
    void watch(client!, selection).catch((error: unknown) => {
      // If the watch was aborted, another one has replaced it.
      if (signal.aborted) return;
      failed(error);
      // The client gives up on a list after some time, but an open page lasts longer than any outage.
      if ([Unavailable, DeadlineExceeded, GatewayOverloaded].some((temporary) => error instanceof temporary))
        setTimeout(() => {
          if (!signal.aborted) read();
        }, READ_AGAIN_MS);
      else showLine("stopped");
    });
  } catch (error) {
    // The URL can have any text in place of labels.
    labels = undefined;
    showError((error as Error).message);
  }
}

async function watch(client: GatewayClient, selection: ListOptions): Promise<void> {
  const options = { ...selection, includeInput: true, forecastIntervalMs: FORECAST_EVERY_MS };
  for await (const event of client.watchMany(options)) {
    switch (event.type) {
      case "changed":
        show(event.generation);
        break;
      case "forecasts":
        for (const [id, forecast] of Object.entries(event.forecasts)) {
          const generation = board.updateForecast(id, forecast);
          if (generation) grid.drawForecast(generation);
        }
        break;
      case "reset":
        board.reread();
        break;
      case "caughtUp": {
        // Read the ended generations only now: from here on, the stream reports every end.
        const states = endedStates(place.state);
        const wanted = { ...selection, states, includeInput: true, pageSize: ENDED_AT_FIRST + 1 };
        const listEnded = (): Older => ({ read: 0, rest: client.list(wanted), again: listEnded });
        older = states.length > 0 ? listEnded() : undefined;
        await readOlder();
        if (selection.signal?.aborted) return;
        board.settle();
        complete = true;
        draw();
        if (grid.mayAct) void submitDialog.resume();
        break;
      }
      case "missing":
        break;
    }
  }
}

/** Reads ended generations until the board has as many as it keeps, and whether there are still more. */
async function readOlder(): Promise<void> {
  while (older) {
    older.next ??= older.rest.next();
    const { value, done } = await older.next;
    if (done) older = undefined;
    else if (older.read >= board.keepEnded) return;
    else {
      older.read += 1;
      older.next = undefined;
      show(value);
    }
  }
}

function show(generation: Generation): void {
  const before = board.get(generation.id)?.state;
  if (!board.update(generation)) return;
  filterBar.addModel(generation.modelId);
  if (before !== undefined && before !== generation.state) {
    part("announcements").textContent = `${wording(generation.state)}: ${titleOf(generation)}`;
  }
  draw();
}

/** Draws at most once per frame. */
function draw(): void {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const shown = (generation: Generation) => selects(place, generation) && found(place.q, generation);
    const more = older !== undefined;
    const count = grid.draw((group) => board.group(group).filter(shown), more);
    const filtered = Boolean(place.q || place.state || place.model || place.label);
    setText(part("count"), complete && filtered ? `${count}${more ? "+" : ""} found` : "");
    part("empty").hidden = !complete || count > 0;
    const none = more ? "None of the generations read so far matches the filters." : "No generation matches the filters.";
    setText(part("empty"), filtered ? none : "There are no generations yet.");
    part("older").hidden = !complete || !more;
  });
}

/** Goes to another place, which the URL then has. */
function go(change: Partial<Place>, replace = false): void {
  const next = { ...place, ...change };
  writePlace(next, replace);
  arrive(next);
}

function arrive(next: Place): void {
  const before = place;
  place = next;
  filterBar.show(place);
  if (!client) return;
  if (before.label !== place.label || before.model !== place.model || before.state !== place.state) read();
  else draw();
  if (before.show !== place.show) showDetails();
}

function showDetails(): void {
  const id = place.show;
  if (!id || !grid.mayAct) details.close();
  else {
    void act(async (client) => {
      const [history, { input }] = await Promise.all([client.explain(id), board.get(id) ?? client.get(id)]);
      if (place.show === id) details.show(history, input);
    });
  }
}

function submitted(generation: Generation, warnings: readonly FieldViolation[]): void {
  // The watch reports no changes of a generation with other labels.
  if (labels && hasLabels(labels, generation)) show(generation);
  const doubts = warnings.map(({ field, description }) => `${field}: ${description}`).join("; ");
  notify(`Submitted: ${titleOf(generation)}${doubts && `. It may be refused: ${doubts}`}`);
}

async function copied(what: string, text: string): Promise<void> {
  try {
    await copy(text);
    notify(`Copied the ${what}.`);
  } catch (error) {
    showError((error as Error).message);
  }
}

async function act(action: (client: GatewayClient) => Promise<void>): Promise<void> {
  showError("");
  try {
    if (client) await action(client);
  } catch (error) {
    failed(error);
  }
}

/** Handles an error. `shown` is whether errors of the gateway are shown here. */
function failed(error: unknown, shown = true): void {
  if (error instanceof ClientClosed) return; // the page has connected again
  if (error instanceof InvalidCredentials) askForCredential(error);
  else if (!(error instanceof GatewayError)) throw error;
  else if (shown) showError(error.message);
}

function askForCredential(error: InvalidCredentials): void {
  if (!part("login").hidden) return; // another call has failed before
  watching.abort();
  const had = credential;
  credential = "";
  forget();
  details.close();
  submitDialog.close();
  for (const id of ["main", "forget", "new", "filter-form"]) part(id).hidden = true;
  showLine("stopped");
  part("login").hidden = false;
  part("login-why").textContent = had ? why(error) : "This gateway requires an API key or a watch token.";
  part("credential").focus();
}

function why(error: InvalidCredentials): string {
  if (error.metadata["expired"]) return "Your watch token has expired. Ask the application that issued it for a new one.";
  return `The login failed: ${error.message}.`;
}

function showError(text: string): void {
  part("trouble").textContent = text;
  part("trouble").hidden = !text;
}

/** Shows a message for a moment. */
function notify(text: string): void {
  const message = document.createElement("span");
  message.textContent = text;
  part("notice").replaceChildren(message);
}

function showLine(state: LineState): void {
  const line = part("line");
  if (line.textContent === LINE[state]) return; // it would be read aloud again
  line.textContent = LINE[state];
  line.dataset["state"] = state;
}

part("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = part<HTMLInputElement>("credential");
  const entered = input.value.trim();
  input.value = "";
  if (!/^[!-~]+$/.test(entered)) {
    part("login-why").textContent = "This is neither an API key nor a watch token.";
    return;
  }
  credential = entered;
  remember(credential);
  connect();
});

part("forget").addEventListener("click", () => {
  forget();
  submitDialog.forget();
  credential = "";
  connect();
});

part("new").addEventListener("click", () => submitDialog.openForm(place.label));

part("older").addEventListener("click", (event) => {
  const button = event.currentTarget as HTMLButtonElement;
  button.disabled = true;
  board.keepEnded += OLDER;
  void act(async () => {
    try {
      await readOlder();
    } catch (error) {
      board.keepEnded -= OLDER;
      older = older?.again(); // the failed list has no next page
      throw error;
    }
  }).finally(() => {
    button.disabled = false;
    draw();
  });
});

addEventListener("popstate", () => arrive(readPlace()));

// A link that differs only in its token does not load the page again.
addEventListener("hashchange", () => {
  credential = rememberedCredential();
  connect();
});

// A browser has six connections to an origin, for all of its tabs. A hidden tab gives its own back, so that the calls of
// others do not wait for one forever.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) watching.abort();
  else if (part("login").hidden) read();
});
setInterval(() => grid.tick(), 1000);

filterBar.show(place);
connect();
