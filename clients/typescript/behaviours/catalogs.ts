/** The catalogs. */

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { InvalidInput, type Model, ModelUnknown } from "@hfgateway/client";
import { type Behaviours, failing, idsOf, rest } from "./stage.js";

const SOUL = "higgsfield-ai/soul/v2/standard";

export const CATALOGS: Behaviours = {
  async list_models({ client }) {
    const all = await idsOf(client.listModels({ pageSize: 7 }));
    assert(all.length > 7, "too few for a second page");
    const souls = all.filter((id) => id.toLowerCase().includes("soul"));
    assert(souls.length > 0 && souls.length < all.length);
    for (const query of ["soul", "SOUL"]) assert.deepEqual(await idsOf(client.listModels({ query })), souls);
  },

  async watch_models({ client }) {
    await failing(rest(client.watchModels({ afterRevision: -1n })), InvalidInput, "INVALID_INPUT");
  },

  async get_model({ client }) {
    const found = await client.getModel(SOUL);
    assert.equal(found.id, SOUL);
    assert(takes(found, "prompt"));
    await failing(client.getModel(`unknown/${randomUUID()}`), ModelUnknown, "MODEL_UNKNOWN");
  },

  async list_motions({ client }) {
    const all = await rest(client.listMotions());
    for (const { id, name, previewUrl } of all) assert(id && name && previewUrl.startsWith("http"), `${id} ${name}`);
    const name = all[0]!.name.toLowerCase();
    const narrowed = await rest(client.listMotions({ query: name.toUpperCase() }));
    assert(narrowed.length > 0 && narrowed.length < all.length);
    for (const found of narrowed) assert(found.name.toLowerCase().includes(name), found.name);
  },

  async list_soul_styles({ client }) {
    const first = await idsOf(client.listSoulStyles({ version: "v1" }));
    const second = await idsOf(client.listSoulStyles({ version: "v2" }));
    assert(first.length > 0 && second.length > 0);
    assert.notDeepEqual(first, second);
  },

  async list_presets({ client }) {
    const models = await rest(client.listModels({ includeSchema: true }));
    const styled = models.find((model) => takes(model, "preset_id"));
    assert(styled, "no model has presets");
    const [preset] = await rest(client.listPresets(styled.id));
    assert(preset?.id && preset.name);
    await failing(rest(client.listPresets(`unknown/${randomUUID()}`)), ModelUnknown, "MODEL_UNKNOWN");
  },
};

/** Whether a model's schema has the parameter. */
function takes({ parametersSchema }: Model, parameter: string): boolean {
  const properties = parametersSchema?.properties;
  return typeof properties === "object" && properties !== null && parameter in properties;
}
