/** The part of JSON Schema that decides which control a parameter gets. Everything else is left to the gateway. */

import type { Model } from "@hfgateway/client/browser";

export type JsonObject = NonNullable<Model["parametersSchema"]>;
export type JsonValue = JsonObject[string];
export type Kind = "choice" | "flag" | "number" | "text" | "lines" | "json";

/** A parameter of a model. Limits that the schema does not have are undefined. */
export interface Parameter {
  readonly name: string;
  readonly kind: Kind;
  readonly required: boolean;
  readonly schema: JsonObject;
  /** The values of a choice. */
  readonly choices: readonly JsonValue[];
}

/** Returns the parameters of a model: the prompt first, then required ones, then the others, each by name. */
export function parametersOf(schema: JsonObject): Parameter[] {
  const required = listOf(schema["required"]);
  const rank = (one: Parameter) => (one.name === "prompt" ? 0 : one.required ? 1 : 2);
  return Object.entries(objectOf(schema["properties"]))
    .map(([name, given]) => {
      const own = resolved(objectOf(given), schema);
      return { name, kind: kindOf(own), required: required.includes(name), schema: own, choices: listOf(own["enum"]) };
    })
    .sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
}

function kindOf(schema: JsonObject): Kind {
  if (listOf(schema["enum"]).length > 0) return "choice";
  const types = [schema["type"]].flat().filter((type) => type !== "null");
  if (types.length !== 1) return "json";
  switch (types[0]) {
    case "boolean":
      return "flag";
    case "integer":
    case "number":
      return "number";
    case "string":
      return "text";
    case "array":
      return objectOf(schema["items"])["type"] === "string" ? "lines" : "json";
    default:
      return "json";
  }
}

/** Follows references within the document, and takes the only alternative besides null. */
function resolved(schema: JsonObject, document: JsonObject, depth = 0): JsonObject {
  const reference = schema["$ref"];
  const parts = ["anyOf", "oneOf", "allOf"].flatMap((name) => listOf(schema[name])).map(objectOf);
  const targets = parts.filter((part) => part["type"] !== "null");
  if (typeof reference === "string" && reference.startsWith("#/")) targets.push(at(document, reference.slice(2)));
  const [only] = targets;
  if (targets.length !== 1 || !only || depth > 8) return schema;
  return { ...resolved(only, document, depth + 1), ...schema };
}

function at(document: JsonObject, path: string): JsonObject {
  return path.split("/").reduce<JsonObject>((inside, name) => objectOf(inside[name]), document);
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? value : {};
}

function listOf(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}
