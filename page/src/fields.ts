/**
 * A control for each parameter of a model. The browser checks types, ranges and required fields before anything is sent.
 * Lengths are left to the gateway, because a browser would cut a text that is pasted.
 */

import { element } from "./dom.js";
import type { JsonObject, JsonValue, Parameter } from "./schema.js";

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

/** A labelled control, with a place for what is wrong with it. */
export class Field {
  readonly element = element("div", "field");
  readonly #problem = element("p", "problem");

  /**
   * @param read - returns the value; undefined if the field is left out
   * @param hint - what to enter
   * @param whole - whether the value is an object with all parameters
   */
  constructor(
    readonly name: string,
    readonly control: Control,
    readonly read: () => JsonValue | undefined,
    hint: string,
    readonly whole = false,
  ) {
    control.id = `field-${name}`;
    const label = element("label", "", name.replaceAll("_", " "));
    label.htmlFor = control.id;
    if (control.required) label.append(element("span", "required", " (required)"));
    const help = element("p", "hint", hint);
    help.id = `${control.id}-hint`;
    this.#problem.id = `${control.id}-problem`;
    control.setAttribute("aria-describedby", `${help.id} ${this.#problem.id}`);
    this.element.append(label, control, ...(hint ? [help] : []), this.#problem);
    if (control instanceof HTMLTextAreaElement) this.element.classList.add("wide");
    control.addEventListener("input", () => this.complain(""));
  }

  /** Shows what is wrong with the value; "" for nothing. */
  complain(text: string): void {
    this.#problem.textContent = text;
    if (text) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
  }
}

/** Creates the field of a parameter, with its initial value, or else the default of the schema. */
export function fieldFor(parameter: Parameter, initial: JsonValue | undefined): Field {
  const value = initial ?? parameter.schema["default"];
  return CREATE[parameter.kind](parameter, value);
}

/** Creates a field for all parameters as a JSON object, for a model without a schema. */
export function objectField(name: string, initial: JsonObject): Field {
  return json({ name, kind: "json", required: false, schema: {}, choices: [] }, initial, true);
}

type Create = (parameter: Parameter, value: JsonValue | undefined) => Field;

const choice: Create = (parameter, value) => {
  const { required } = parameter;
  // An earlier input may have a value that the schema does not have.
  const isKnown = value === undefined || parameter.choices.some((one) => JSON.stringify(one) === JSON.stringify(value));
  const choices = isKnown ? parameter.choices : [value, ...parameter.choices];
  const select = element("select");
  select.required = required;
  if (!required || value === undefined) select.add(new Option(required ? "Choose…" : "Not set", ""));
  for (const one of choices) {
    const shown = typeof one === "boolean" ? (one ? "Yes" : "No") : String(one);
    const text = JSON.stringify(one);
    select.add(new Option(shown, text, false, text === JSON.stringify(value)));
  }
  const read = () => (select.value ? (JSON.parse(select.value) as JsonValue) : undefined);
  return new Field(parameter.name, select, read, hintOf(parameter));
};

const flag: Create = (parameter, value) => choice({ ...parameter, choices: [true, false] }, value);

const number: Create = (parameter, value) => {
  const { schema, required, name } = parameter;
  const input = element("input");
  const { minimum, multipleOf } = schema;
  const step = multipleOf ?? ([schema["type"]].flat().includes("number") ? "any" : 1);
  // A browser counts steps from the minimum, and a schema from 0.
  const counted = minimum === undefined || Number.isInteger(Number(minimum) / Number(step));
  Object.assign(input, {
    type: "number",
    required,
    step: counted ? String(step) : "any",
    value: value === undefined ? "" : String(value),
  });
  if (typeof schema["minimum"] === "number") input.min = String(schema["minimum"]);
  if (typeof schema["maximum"] === "number") input.max = String(schema["maximum"]);
  return new Field(name, input, () => (input.value ? input.valueAsNumber : undefined), hintOf(parameter));
};

const text: Create = (parameter, value) => {
  const { schema, required, name } = parameter;
  const isUrl = schema["format"] === "uri";
  const control: HTMLInputElement | HTMLTextAreaElement = /prompt/.test(name) ? element("textarea") : element("input");
  if (isUrl && control instanceof HTMLInputElement) control.type = "url";
  Object.assign(control, { required, value: value ?? "" });
  return new Field(name, control, () => control.value || undefined, hintOf(parameter));
};

const lines: Create = (parameter, value) => {
  const { schema, required, name } = parameter;
  const area = element("textarea");
  Object.assign(area, { required, value: Array.isArray(value) ? value.join("\n") : "" });
  const read = () =>
    area.value
      .split("\n")
      .map((line) => line.trim())
      .filter(Boolean);
  checked(area, () => {
    const count = read().length;
    if (count > 0 && count < Number(schema["minItems"] ?? 0)) return `Enter at least ${schema["minItems"]} lines.`;
    return count > Number(schema["maxItems"] ?? Infinity) ? `Enter at most ${schema["maxItems"]} lines.` : "";
  });
  return new Field(
    name,
    area,
    () => (read().length > 0 ? read() : undefined),
    `One on each line. ${hintOf(parameter)}`,
  );
};

function json(parameter: Parameter, value: JsonValue | undefined, whole = false): Field {
  const area = element("textarea", "code");
  const shown = value === undefined ? "" : JSON.stringify(value, null, 1);
  Object.assign(area, { required: parameter.required, spellcheck: false, value: shown });
  const read = (): JsonValue | undefined => (area.value.trim() ? JSON.parse(area.value) : undefined);
  checked(area, () => {
    try {
      const given = read() ?? {};
      return whole && (typeof given !== "object" || Array.isArray(given)) ? "Enter a JSON object." : "";
    } catch (error) {
      return `This is not JSON: ${(error as Error).message}`;
    }
  });
  return new Field(parameter.name, area, read, `JSON. ${hintOf(parameter)}`, whole);
}

const CREATE: Record<Parameter["kind"], Create> = { choice, flag, number, text, lines, json };

/** Has the browser check a control with a function that returns what is wrong. */
function checked(control: HTMLTextAreaElement, problem: () => string): void {
  const check = () => control.setCustomValidity(problem());
  control.addEventListener("input", check);
  check();
}

function hintOf({ schema }: Parameter): string {
  const { minimum, maximum, description } = schema;
  const bounds: string[] = [];
  if (minimum !== undefined && maximum !== undefined) bounds.push(`${minimum} to ${maximum}.`);
  else if (minimum !== undefined) bounds.push(`At least ${minimum}.`);
  else if (maximum !== undefined) bounds.push(`At most ${maximum}.`);
  if (typeof description === "string") bounds.push(description);
  return bounds.join(" ");
}
