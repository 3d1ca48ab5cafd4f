/** One generation in the grid. */

import { type Generation, stateName } from "@hfgateway/client/browser";
import { element, part, setText } from "./dom.js";
import { elapsed, expectation, price, promptOf, timeElement, titleOf, wording } from "./format.js";
import { mediaOf } from "./media.js";

/** What the buttons of a card do. */
export interface Actions {
  copyUrl(generation: Generation): void;
  copyPrompt(generation: Generation): void;
  runAgain(generation: Generation): void;
  cancel(generation: Generation): void;
  details(generation: Generation): void;
}

/** The buttons with the start of their labels. */
const LABELS: Record<keyof Actions, string> = {
  copyUrl: "Copy URL",
  copyPrompt: "Copy prompt",
  runAgain: "Run again",
  cancel: "Cancel",
  details: "Details",
};
const NAMES = Object.keys(LABELS) as (keyof Actions)[];

export class Card {
  readonly element: HTMLElement;
  /** The generation that the card shows. */
  generation: Generation | undefined;
  readonly #parts: Record<string, HTMLElement> = {};
  #media = "";

  constructor(actions: Actions) {
    const copy = part<HTMLTemplateElement>("card").content.cloneNode(true) as DocumentFragment;
    this.element = copy.firstElementChild as HTMLElement;
    for (const one of this.element.querySelectorAll<HTMLElement>("[data-part]")) {
      this.#parts[one.dataset["part"]!] = one;
    }
    for (const name of NAMES) this.#part(name).addEventListener("click", () => actions[name](this.generation!));
  }

  show(generation: Generation, mayAct: boolean): void {
    this.generation = generation;
    const title = titleOf(generation);
    const { dataset } = this.element;
    dataset["id"] = generation.id;
    dataset["state"] = stateName(generation);
    setText(this.#part("title"), title);
    setText(this.#part("state"), wording(generation.state));
    this.#optional("note", generation.delay?.message ?? "");
    this.#optional("price", price(generation.estimatedCost));
    this.#part("facts").replaceChildren(...facts(generation));
    const possible: Record<keyof Actions, boolean> = {
      copyUrl: generation.outputs.some((output) => output.url),
      copyPrompt: promptOf(generation) !== "",
      runAgain: mayAct && generation.done && generation.input !== undefined,
      cancel: mayAct && generation.cancelable,
      details: mayAct,
    };
    for (const name of NAMES) {
      const button = this.#part(name);
      button.hidden = !possible[name];
      button.setAttribute("aria-label", `${LABELS[name]}: ${title}`);
    }
    this.showForecast(generation);
    this.tick(Date.now());
    this.#showMedia(generation);
  }

  showForecast(generation: Generation): void {
    const { done, forecast } = generation;
    const bar = this.#part("bar") as HTMLProgressElement;
    bar.hidden = done || !forecast || (forecast.progress <= 0 && !forecast.overdue);
    // A bar without a value is an indeterminate one.
    if (forecast?.overdue) bar.removeAttribute("value");
    else bar.value = forecast?.progress ?? 0;
    this.#optional("expected", expectation(generation));
  }

  /** Shows the elapsed time. */
  tick(now: number): void {
    this.#optional("elapsed", this.generation ? elapsed(this.generation, now) : "");
  }

  #showMedia(generation: Generation): void {
    const { outputs, done, failure } = generation;
    const shown = JSON.stringify([done, outputs.map((output) => [output.url, output.previewUrl, output.kind])]);
    // A new element would restart a video.
    if (shown === this.#media) return;
    this.#media = shown;
    const media = mediaOf(generation);
    if (done && media.length === 0) media.push(element("p", "why", failure?.message || "No output"));
    const box = this.#part("media");
    box.dataset["count"] = String(Math.min(media.length, 4));
    box.replaceChildren(...media);
  }

  #optional(name: string, text: string): void {
    const shown = this.#part(name);
    setText(shown, text);
    shown.hidden = !text;
  }

  #part(name: string): HTMLElement {
    return this.#parts[name]!;
  }
}

function facts(generation: Generation): HTMLElement[] {
  const found = [element("span", "", generation.adopted ? "adopted" : generation.modelId)];
  if (generation.createTime) found.push(timeElement(generation.createTime));
  const labels = Object.entries(generation.labels);
  return [...found, ...labels.map(([name, value]) => element("span", "label", `${name}=${value}`))];
}
