/** The groups of cards. A generation keeps its card while it is on the page, so that videos are not interrupted. */

import type { Generation } from "@hfgateway/client/browser";
import { type Actions, Card } from "./card.js";
import { part, place, setText } from "./dom.js";
import { GROUPS, type Group } from "./filters.js";

/** The most cards in a group of generations that have not ended. Its count is that of all. */
const MOST_LIVE = 500;

export class Grid {
  readonly #cards = new Map<string, Card>();

  constructor(readonly actions: Actions) {}

  /** Whether buttons are shown that need more than permission to read. */
  mayAct = true;

  /**
   * Shows these generations. Only cards of changed generations are touched. Returns how many there are.
   *
   * @param more - whether there are more ended generations than these
   */
  draw(groups: (group: Group) => readonly Generation[], more: boolean): number {
    const cards = new Map<string, Card>();
    const focused = document.activeElement;
    let count = 0;
    for (const group of GROUPS) {
      const generations = groups(group);
      count += generations.length;
      setText(part(`${group}-count`), `${generations.length}${more && group === "ended" ? "+" : ""}`);
      part(group).hidden = generations.length === 0;
      const shown = group === "ended" ? generations : generations.slice(0, MOST_LIVE);
      for (const generation of shown) cards.set(generation.id, this.#card(generation));
      place(
        part(`${group}-list`),
        shown.map((generation) => cards.get(generation.id)!.element),
      );
    }
    // An element that moves to another group loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement) focused.focus({ preventScroll: true });
    for (const id of this.#cards.keys()) if (!cards.has(id)) this.#cards.delete(id);
    return count;
  }

  /** Shows a changed forecast. */
  drawForecast(generation: Generation): void {
    this.#cards.get(generation.id)?.showForecast(generation);
  }

  /** Shows the time that has elapsed since the submission of generations that have not ended. */
  tick(): void {
    const now = Date.now();
    for (const card of this.#cards.values()) if (!card.generation?.done) card.tick(now);
  }

  /** Forgets the cards, because other buttons are allowed now. */
  clear(): void {
    this.#cards.clear();
  }

  #card(generation: Generation): Card {
    let card = this.#cards.get(generation.id);
    if (!card) {
      card = new Card(this.actions);
      this.#cards.set(generation.id, card);
    }
    if (card.generation !== generation) card.show(generation, this.mayAct);
    return card;
  }
}
