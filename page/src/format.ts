/** How values of the API read on the page. Every time is local, with the full time and its zone in its tooltip. */

import {
  durationMs,
  type Generation,
  type GenerationInput,
  type Input,
  GenerationState as State,
  stateName,
  type Timestamp,
  timestampDate,
} from "@hfgateway/client/browser";
import { element } from "./dom.js";

const WORDING: Partial<Record<State, string>> = {
  [State.PENDING]: "Waiting in the gateway",
  [State.UNCERTAIN]: "Uncertain",
  [State.QUEUED]: "Queued",
  [State.IN_PROGRESS]: "Running",
  [State.COMPLETED]: "Completed",
  [State.FAILED]: "Failed",
  [State.NSFW]: "Moderated",
  [State.CANCELED]: "Canceled",
  [State.LOST]: "Lost",
};

export function wording(state: State): string {
  return WORDING[state] ?? stateName({ state });
}

export function promptOf(generation: Generation): string {
  const kind = generation.input?.kind;
  if (!kind?.case) return "";
  if (kind.case !== "model") return kind.value.prompt;
  const prompt = kind.value.parameters?.["prompt"];
  return typeof prompt === "string" ? prompt : "";
}

/** Returns the prompt, or the model if the prompt is not known. Of an adopted request only the id is known. */
export function titleOf(generation: Generation): string {
  return promptOf(generation) || generation.modelId || `Request ${generation.upstream?.requestId}`;
}

/** Returns the time since the submission, or that from the submission to the end; "" if adopted, because it is not known. */
export function elapsed(generation: Generation, now: number): string {
  const { createTime, endTime } = generation;
  if (!createTime || generation.adopted || (generation.done && !endTime)) return "";
  const end = endTime ? timestampDate(endTime).getTime() : now;
  return span(end - timestampDate(createTime).getTime());
}

/** Returns a duration, such as "8 s", "3 min 20 s" or "2 h 5 min". */
export function span(ms: number): string {
  const seconds = Math.max(Math.round(ms / 1000), 0);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Returns what the gateway expects: the place in its queue and the time left. */
export function expectation({ done, forecast }: Generation): string {
  if (done || !forecast) return "";
  const left = forecast.remaining ? durationMs(forecast.remaining) : 0;
  const parts = [
    forecast.queuePosition ? `place ${forecast.queuePosition}` : "",
    left > 0 ? `about ${span(left)} left` : "",
    forecast.overdue ? "longer than expected" : "",
  ];
  return parts.filter(Boolean).join(", ");
}

/** Returns a price; "" if the gateway knows none. */
export function price(cost: Generation["estimatedCost"]): string {
  return [cost?.credits && `${cost.credits} credits`, cost?.usd && `$${cost.usd}`].filter(Boolean).join(", ");
}

/** Returns a time of day, with the date if it is another day. `precise` adds seconds and milliseconds. */
export function timeElement(timestamp: Timestamp, precise = false): HTMLTimeElement {
  const date = timestampDate(timestamp);
  const now = new Date();
  const time = date.toLocaleTimeString([], precise ? PRECISE : CLOCK);
  const day = date.toLocaleDateString([], date.getFullYear() === now.getFullYear() ? DAY : { ...DAY, year: "numeric" });
  const shown = element("time", "", date.toDateString() === now.toDateString() ? time : `${day}, ${time}`);
  shown.dateTime = date.toISOString();
  shown.title = date.toLocaleString([], { dateStyle: "full", timeStyle: "long" });
  return shown;
}

const CLOCK: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
const PRECISE: Intl.DateTimeFormatOptions = { ...CLOCK, second: "2-digit", fractionalSecondDigits: 3 };
const DAY: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };

/** Returns the name of the browser's time zone. */
export function timeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Enums, which the model's id shows as well. */
const LEFT_OUT = new Set(["$typeName", "version", "variant"]);
/** Fields of which 0 is no value. */
const NEVER_ZERO = new Set(["width", "height", "batchSize", "durationSeconds"]);

/** Returns the fields of an input that are set, with their names in the API; all parameters of a model. */
export function fieldsOf({ kind }: GenerationInput): [string, string][] {
  if (kind.case === "model") return Object.entries(kind.value.parameters ?? {}).map(([name, one]) => [name, shown(one)]);
  return Object.entries(kind.value ?? {})
    .filter(([name, value]) => !LEFT_OUT.has(name) && value !== undefined && String(value) !== "")
    .filter(([name, value]) => value !== 0 || !NEVER_ZERO.has(name))
    .map(([name, value]) => [snakeCase(name), shown(value)]);
}

/** Returns a value for people: each text of a list on a line, and JSON for what is not text. */
function shown(value: unknown): string {
  const texts = [value].flat();
  return texts.every((one) => typeof one === "string") ? texts.join("\n") : withoutTypes(value);
}

/** Returns labels in the form in which they are entered. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
}

/** Returns a copy of an input, for another submission. */
export function copyOf(input: GenerationInput): Input {
  return JSON.parse(withoutTypes(input)) as Input;
}

/** Returns JSON without the names of message types. */
export function withoutTypes(value: unknown): string {
  return JSON.stringify(value, (key, one) => (key === "$typeName" ? undefined : one));
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
