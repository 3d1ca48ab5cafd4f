/** The generations that the page shows, by column and in order. Does not use the DOM. */

import { type Forecast, type Generation, GenerationState as State } from "@hfgateway/client/browser";

export type Column = "running" | "waiting" | "ended";

export const COLUMNS: readonly Column[] = ["running", "waiting", "ended"];

/** Limit of ended generations. The oldest are dropped, because a page may be open for weeks. */
export const MOST_ENDED = 200;

export function columnOf(generation: Generation): Column {
  if (generation.done) return "ended";
  return generation.state === State.IN_PROGRESS ? "running" : "waiting";
}

export class Board {
  readonly #generations = new Map<string, Generation>();

  /** Stores a generation, and returns true, unless a newer revision is known. */
  update(generation: Generation): boolean {
    const known = this.#generations.get(generation.id);
    if (known && known.revision > generation.revision) return false;
    // A change may lack the input, which a list or an earlier change contained.
    if (known?.input && !generation.input) generation.input = known.input;
    this.#generations.set(generation.id, generation);
    this.#prune();
    return true;
  }

  /** Stores a forecast, and returns its generation if that is known. */
  updateForecast(id: string, forecast: Forecast): Generation | undefined {
    const known = this.#generations.get(id);
    if (known && !known.done) known.forecast = forecast;
    return known;
  }

  clear(): void {
    this.#generations.clear();
  }

  get(id: string): Generation | undefined {
    return this.#generations.get(id);
  }

  /** Returns the generations of a column: ended ones by end time, newest first; others by creation, oldest first. */
  column(column: Column): Generation[] {
    const found = [...this.#generations.values()].filter((one) => columnOf(one) === column);
    return column === "ended" ? found.sort(byEnd) : found.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  #prune(): void {
    const ended = this.column("ended");
    for (const old of ended.slice(MOST_ENDED)) this.#generations.delete(old.id);
  }
}

function byEnd(a: Generation, b: Generation): number {
  const [first, second] = [a, b].map((one) => Number(one.endTime?.seconds ?? 0) + (one.endTime?.nanos ?? 0) / 1e9);
  return second! - first! || (a.id < b.id ? 1 : -1);
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
