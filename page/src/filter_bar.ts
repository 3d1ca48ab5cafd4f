/** The controls of the filters. */

import { part } from "./dom.js";
import { type Filters, parseLabels } from "./filters.js";

export class FilterBar {
  readonly #controls = {
    q: part<HTMLInputElement>("search"),
    state: part<HTMLSelectElement>("state"),
    model: part<HTMLSelectElement>("model"),
    label: part<HTMLInputElement>("label"),
  };
  readonly #models = new Set<string>();
  /** Whether the last change was one more keystroke of the same search, which is one entry of the history. */
  #typing = false;

  /**
   * @param change - called with changed filters; `replace` if they continue the last change
   * @param problem - called with what is wrong with the labels, or ""
   */
  constructor(change: (changed: Partial<Filters>, replace: boolean) => void, problem: (text: string) => void) {
    const { q, state, model, label } = this.#controls;
    q.addEventListener("input", () => {
      change({ q: q.value }, this.#typing);
      this.#typing = true;
    });
    q.addEventListener("change", () => {
      this.#typing = false;
    });
    state.addEventListener("change", () => change({ state: state.value }, false));
    model.addEventListener("change", () => change({ model: model.value }, false));
    label.addEventListener("change", () => {
      try {
        parseLabels(label.value);
        problem("");
        change({ label: label.value.trim() }, false);
      } catch (error) {
        problem((error as Error).message);
      }
    });
    part("filter-form").addEventListener("submit", (event) => event.preventDefault());
    part("clear").addEventListener("click", () => {
      problem("");
      this.#typing = false;
      change({ q: "", state: "", model: "", label: "" }, false);
      q.focus();
    });
  }

  show(filters: Filters): void {
    this.addModel(filters.model);
    for (const [name, control] of Object.entries(this.#controls)) {
      const value = filters[name as keyof Filters];
      if (control.value !== value) control.value = value;
    }
    part("clear").hidden = !Object.keys(this.#controls).some((name) => filters[name as keyof Filters]);
  }

  /** Offers a model that was seen. */
  addModel(id: string): void {
    if (!id || this.#models.has(id)) return;
    this.#models.add(id);
    const { model } = this.#controls;
    const next = [...model.options].find((option) => option.value > id);
    model.add(new Option(id, id), next ?? null);
  }
}
