/** Draws the board. A generation keeps its element while it is on the page, so that videos are not interrupted. */

import {
  durationMs,
  type Generation,
  GenerationState as State,
  MediaKind,
  type Output,
  stateName,
  timestampDate,
} from "@hfgateway/client/browser";
import { type Board, COLUMNS, type Column } from "./board.js";

export interface Actions {
  cancel(id: string): void;
  timeline(id: string): void;
}

export class View {
  readonly #cards = new Map<string, Card>();
  readonly #lists: Record<Column, HTMLElement>;
  readonly #counts: Record<Column, HTMLElement>;

  constructor(
    readonly board: Board,
    readonly actions: Actions,
  ) {
    this.#lists = byColumn((column) => part(`${column}-list`));
    this.#counts = byColumn((column) => part(`${column}-count`));
  }

  /** Whether buttons are shown that need more than permission to read. */
  mayAct = true;

  draw(): void {
    const shown = new Set<string>();
    for (const column of COLUMNS) {
      const generations = this.board.column(column);
      this.#counts[column].textContent = String(generations.length);
      part(`${column}-empty`).hidden = generations.length > 0;
      place(
        this.#lists[column],
        generations.map((generation) => {
          shown.add(generation.id);
          return this.#card(generation).element;
        }),
      );
    }
    for (const id of this.#cards.keys()) if (!shown.has(id)) this.#cards.delete(id);
  }

  /** Draws a changed forecast. */
  drawForecast(generation: Generation): void {
    this.#cards.get(generation.id)?.showForecast(generation);
  }

  #card(generation: Generation): Card {
    let card = this.#cards.get(generation.id);
    if (!card) {
      card = new Card(generation.id, this.actions);
      this.#cards.set(generation.id, card);
    }
    card.show(generation, this.mayAct);
    return card;
  }
}

class Card {
  readonly element = element("article", "card");
  readonly #title = element("h3", "title");
  readonly #state = element("p", "state");
  readonly #note = element("p", "note");
  readonly #bar = element("progress", "bar");
  readonly #outputs = element("div", "outputs");
  readonly #facts = element("p", "facts");
  readonly #cancel = button("Cancel");
  readonly #timeline = button("Timeline");
  #shownOutputs = "";

  constructor(id: string, actions: Actions) {
    this.element.dataset["id"] = id;
    this.element.setAttribute("aria-labelledby", `title-${id}`);
    this.#title.id = `title-${id}`;
    this.#bar.setAttribute("aria-labelledby", `title-${id}`);
    this.#cancel.addEventListener("click", () => actions.cancel(id));
    this.#timeline.addEventListener("click", () => actions.timeline(id));
    const head = element("header", "head");
    head.append(this.#title, this.#state);
    const foot = element("footer", "foot");
    foot.append(this.#facts, this.#cancel, this.#timeline);
    this.element.append(head, this.#note, this.#bar, this.#outputs, foot);
  }

  show(generation: Generation, mayAct: boolean): void {
    this.element.dataset["state"] = stateName(generation);
    this.#title.textContent = titleOf(generation);
    this.#state.textContent = wording(generation.state);
    this.#note.textContent = generation.failure?.message ?? generation.delay?.message ?? "";
    this.#note.hidden = !this.#note.textContent;
    this.#facts.replaceChildren(...facts(generation));
    this.#cancel.hidden = !mayAct || !generation.cancelable;
    this.#cancel.setAttribute("aria-label", `Cancel: ${this.#title.textContent}`);
    this.#timeline.hidden = !mayAct;
    this.#timeline.setAttribute("aria-label", `Timeline: ${this.#title.textContent}`);
    this.showForecast(generation);
    this.#showOutputs(generation.outputs);
  }

  showForecast(generation: Generation): void {
    const { forecast } = generation;
    this.#bar.hidden = generation.done || !forecast || forecast.progress <= 0;
    // A bar without a value is an indeterminate one.
    if (forecast?.overdue) this.#bar.removeAttribute("value");
    else this.#bar.value = forecast?.progress ?? 0;
    const left = forecast?.remaining ? Math.round(durationMs(forecast.remaining) / 1000) : 0;
    const place = forecast?.queuePosition ? `place ${forecast.queuePosition} in the queue` : "";
    const soon = left > 0 && !generation.done ? `about ${left} s left` : "";
    const late = forecast?.overdue && !generation.done ? "longer than expected" : "";
    const expected = [place, soon, late].filter(Boolean).join(", ");
    this.#state.textContent = expected ? `${wording(generation.state)} · ${expected}` : wording(generation.state);
  }

  #showOutputs(outputs: readonly Output[]): void {
    const signature = JSON.stringify(outputs.map((output) => [output.url, output.previewUrl, output.kind]));
    // A new element would restart a video.
    if (signature === this.#shownOutputs) return;
    this.#shownOutputs = signature;
    this.#outputs.replaceChildren(...outputs.filter((output) => output.url).map(media));
  }
}

function media(output: Output, index: number): HTMLElement {
  const name = output.name || `output ${index + 1}`;
  switch (output.kind) {
    case MediaKind.IMAGE: {
      const link = linkTo(output.url);
      const image = element("img", "thumbnail");
      image.src = output.previewUrl || output.url;
      image.alt = name;
      image.loading = "lazy";
      link.append(image);
      return link;
    }
    case MediaKind.VIDEO: {
      const video = element("video", "player");
      Object.assign(video, { src: output.url, controls: true, preload: "metadata", muted: true, loop: true });
      if (output.previewUrl) video.poster = output.previewUrl;
      video.setAttribute("aria-label", name);
      return video;
    }
    case MediaKind.AUDIO: {
      const audio = element("audio", "player");
      Object.assign(audio, { src: output.url, controls: true, preload: "metadata" });
      audio.setAttribute("aria-label", name);
      return audio;
    }
    default: {
      const link = linkTo(output.url);
      link.textContent = name;
      return link;
    }
  }
}

/** Outputs are on another host. It gets no referrer, and cannot access this page. */
function linkTo(url: string): HTMLAnchorElement {
  const link = element("a", "result");
  if (/^https?:/i.test(url)) link.href = url;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

function facts(generation: Generation): HTMLElement[] {
  const found = [fact(generation.adopted ? "adopted" : generation.modelId)];
  if (generation.createTime) {
    const made = timestampDate(generation.createTime);
    const time = element("time", "fact");
    time.dateTime = made.toISOString();
    time.textContent = made.toLocaleTimeString();
    found.push(time);
  }
  for (const [name, value] of Object.entries(generation.labels)) found.push(fact(`${name}=${value}`));
  return found;
}

function fact(text: string): HTMLElement {
  const shown = element("span", "fact");
  shown.textContent = text;
  return shown;
}

/** Returns the prompt, or the model if the prompt is not known. Of an adopted request only the id is known. */
export function titleOf(generation: Generation): string {
  return promptOf(generation) || generation.modelId || `Request ${generation.upstream?.requestId}`;
}

function promptOf(generation: Generation): string {
  const kind = generation.input?.kind;
  if (!kind?.case) return "";
  if (kind.case !== "model") return kind.value.prompt;
  const prompt = kind.value.parameters?.["prompt"];
  return typeof prompt === "string" ? prompt : "";
}

const WORDING: Partial<Record<State, string>> = {
  [State.PENDING]: "Waiting here",
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

/** Puts the elements into a list in this order, and moves only those that are in another place. */
function place(list: HTMLElement, elements: readonly HTMLElement[]): void {
  elements.forEach((wanted, index) => {
    const there = list.children[index];
    if (there !== wanted) list.insertBefore(wanted, there ?? null);
  });
  while (list.children.length > elements.length) list.lastElementChild!.remove();
}

function byColumn<T>(make: (column: Column) => T): Record<Column, T> {
  return Object.fromEntries(COLUMNS.map((column) => [column, make(column)])) as Record<Column, T>;
}

export function part(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  className: string,
): HTMLElementTagNameMap[Name] {
  return Object.assign(document.createElement(name), { className });
}

function button(text: string): HTMLButtonElement {
  return Object.assign(element("button", "action"), { type: "button", textContent: text });
}
