/** Which generations are shown. Does not use the DOM. */

import { type Generation, GenerationState as State, stateName } from "@hfgateway/client/browser";
import { promptOf, wording } from "./format.js";

export type Group = "running" | "queued" | "uncertain" | "ended";

export const GROUPS: readonly Group[] = ["running", "queued", "uncertain", "ended"];

/** The final states. An empty filter of states would list all. */
export const ENDED_STATES = ["COMPLETED", "FAILED", "NSFW", "CANCELED", "LOST"] as const;

export function groupOf(generation: Generation): Group {
  if (generation.done) return "ended";
  if (generation.state === State.IN_PROGRESS) return "running";
  return generation.state === State.UNCERTAIN ? "uncertain" : "queued";
}

/** The filters as texts, as the URL has them; "" for none. `state` is a group, or a final state in lower case. */
export interface Filters {
  readonly q: string;
  readonly state: string;
  readonly model: string;
  readonly label: string;
}

/** Returns the final states that a filter of states leaves. */
export function endedStates(state: string): (typeof ENDED_STATES)[number][] {
  return ENDED_STATES.filter((name) => !state || state === "ended" || state === name.toLowerCase());
}

/** Whether the generation has the state and the model; labels are left to the gateway. */
export function selects({ state, model }: Filters, generation: Generation): boolean {
  const names: string[] = ["", groupOf(generation), stateName(generation).toLowerCase()];
  return names.includes(state) && (!model || model === generation.modelId);
}

/** Whether the generation has all of the labels. */
export function hasLabels(labels: Readonly<Record<string, string>>, generation: Generation): boolean {
  return Object.entries(labels).every(([name, value]) => generation.labels[name] === value);
}

/** Whether prompt, state, model, id or labels contain every word of the search. */
export function found(search: string, generation: Generation): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const labels = Object.entries(generation.labels).map(([name, value]) => `${name}=${value}`);
  const texts = [promptOf(generation), wording(generation.state), generation.modelId, generation.id, ...labels];
  const text = texts.join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Parses labels such as "team=red, order=7". Throws an Error with a message for the user. */
export function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const part of text.split(",")) {
    if (!part.trim()) continue;
    const [name = "", ...rest] = part.split("=");
    if (!name.trim() || rest.length === 0) throw new Error(`“${part.trim()}” is not a label: write name=value`);
    labels[name.trim()] = rest.join("=").trim();
  }
  return labels;
}
