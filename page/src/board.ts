/** The generations that the page knows. Does not use the DOM. */

import type { Forecast, Generation } from "@hfgateway/client/browser";
import { type Group, groupOf } from "./filters.js";

/** How many ended generations are kept at first. The oldest are dropped, because a page may be open for weeks. */
export const ENDED_AT_FIRST = 200;

export class Board {
  readonly #generations = new Map<string, Generation>();
  /** Generations that were not reported since `reread()`. They are shown until the new reading is complete. */
  #doubtful = new Set<string>();
  /** How many ended generations are kept. */
  keepEnded = ENDED_AT_FIRST;

  /** @param wanted - an ended generation is only kept if this holds; the others would push it out */
  constructor(readonly wanted: (generation: Generation) => boolean) {}

  /** Stores a generation, and returns true, unless all of it is known already, or a newer revision. */
  update(generation: Generation): boolean {
    const known = this.#generations.get(generation.id);
    this.#doubtful.delete(generation.id);
    if (known && known.revision > generation.revision) return false;
    // A message may lack the input, which another one contained. Forecasts change without a new revision.
    const adds = (generation.input && !known?.input) || generation.forecast;
    if (known?.revision === generation.revision && !adds) return false;
    if (known?.input && !generation.input) generation.input = known.input;
    if (generation.done && !this.wanted(generation)) this.#generations.delete(generation.id);
    else this.#generations.set(generation.id, generation);
    if (generation.done) this.#prune();
    return true;
  }

  /** Stores a forecast, and returns its generation if that is known and has not ended. */
  updateForecast(id: string, forecast: Forecast): Generation | undefined {
    const known = this.#generations.get(id);
    if (!known || known.done) return undefined;
    known.forecast = forecast;
    return known;
  }

  get(id: string): Generation | undefined {
    return this.#generations.get(id);
  }

  /** Begins to read everything again. What is not wanted is dropped now, and what is not reported by `settle()`. */
  reread(): void {
    for (const one of this.#generations.values()) if (!this.wanted(one)) this.#generations.delete(one.id);
    this.#doubtful = new Set(this.#generations.keys());
    this.keepEnded = ENDED_AT_FIRST;
  }

  settle(): void {
    for (const id of this.#doubtful) this.#generations.delete(id);
    this.#doubtful.clear();
  }

  clear(): void {
    this.#generations.clear();
    this.#doubtful.clear();
  }

  /** Returns the generations of a group: ended ones by end time, newest first; others by creation, oldest first. */
  group(group: Group): Generation[] {
    const found = [...this.#generations.values()].filter((one) => groupOf(one) === group);
    return found.sort(group === "ended" ? byEnd : (a, b) => (a.id < b.id ? -1 : 1));
  }

  #prune(): void {
    if (this.#generations.size <= this.keepEnded) return;
    for (const old of this.group("ended").slice(this.keepEnded)) this.#generations.delete(old.id);
  }
}

function byEnd(a: Generation, b: Generation): number {
  const [first, second] = [a, b].map((one) => Number(one.endTime?.seconds ?? 0) + (one.endTime?.nanos ?? 0) / 1e9);
  return second! - first! || (a.id < b.id ? 1 : -1);
}
