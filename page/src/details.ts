/** The details of a generation: facts, input, and its history as a timeline. */

import {
  durationMs,
  type ExplainGenerationResponse,
  type Generation,
  type GenerationEvent,
  type GenerationInput,
  GenerationState as State,
  stateName,
} from "@hfgateway/client/browser";
import { element, pairs, part } from "./dom.js";
import { elapsed, fieldsOf, price, timeElement, timeZone, titleOf, wording } from "./format.js";

export class Details {
  readonly #dialog = part<HTMLDialogElement>("details");

  /** @param closed - called when the user closes the dialog */
  constructor(closed: () => void) {
    part("details-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", closed);
  }

  /** Opens the dialog. The history has no input. */
  show(history: ExplainGenerationResponse, input: GenerationInput | undefined): void {
    const generation = { ...history.generation!, ...(input && { input }) };
    part("details-title").textContent = titleOf(generation);
    part("details-facts").replaceChildren(pairs(facts(generation)));
    const fields = input ? fieldsOf(input) : [];
    part("details-input").replaceChildren(pairs(fields));
    part("details-input-part").hidden = fields.length === 0;
    part("details-zone").textContent = `Times are local: ${timeZone()}.`;
    part("details-events").replaceChildren(...history.events.map(event));
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  close(): void {
    this.#dialog.close();
  }
}

function facts(generation: Generation): [string, Node | string][] {
  const { createTime, endTime, outputsExpireTime } = generation;
  const labels = Object.entries(generation.labels).map(([name, value]) => `${name}=${value}`);
  const found: [string, Node | string][] = [
    ["State", wording(generation.state)],
    ["Model", generation.modelId],
    ["Created", createTime ? timeElement(createTime) : ""],
    ["Ended", endTime ? timeElement(endTime) : ""],
    ["Took", generation.done ? elapsed(generation, Date.now()) : ""],
    ["Estimated price", price(generation.estimatedCost)],
    ["Settled price", price(generation.settledCost)],
    ["Outputs expire", outputsExpireTime ? timeElement(outputsExpireTime) : ""],
    ["Labels", labels.join(", ")],
    ["Id", code(generation.id)],
    ["Idempotency key", code(generation.idempotencyKey)],
    ["Request at Higgsfield", code(generation.upstream?.requestId)],
  ];
  return found.filter(([, value]) => value);
}

function code(text = ""): HTMLElement | string {
  return text && element("code", "", text);
}

function event(happened: GenerationEvent): HTMLElement {
  const { upstreamCall: call, state, time } = happened;
  const item = element("li", happened.revision ? "change" : "call");
  const head = element("p", "event");
  if (state !== State.UNSPECIFIED) {
    item.dataset["state"] = stateName({ state });
    head.append(element("strong", "state", wording(state)), " · ");
  }
  head.append(happened.description);
  item.append(head);
  if (call) {
    const took = call.duration ? `${Math.round(durationMs(call.duration))} ms` : "";
    const times = call.times > 1 ? `${call.times} times in a row` : "";
    const correlation = call.correlationId && `correlation id ${call.correlationId}`;
    item.append(element("p", "made", [took, times, correlation].filter(Boolean).join(" · ")));
  }
  if (time) item.prepend(timeElement(time, true));
  return item;
}
