import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { ModelUnknown, SoulVersion } from "@hfgateway/client";
import { MediaKind } from "@hfgateway/client/stubs";
import { collected, draining, refusal, serve, TRANSPORTS } from "./support.js";

for (const transport of TRANSPORTS) {
  describe(`catalogs over ${transport}`, { timeout: 100_000 }, () => {
    test("models are listed page by page with the same query, and each page is retried", async (t) => {
      const asked: unknown[] = [];
      const { client } = await serve(t, transport, {
        catalogs: {
          listModels: ({ pageToken, query, outputKind, includeSchema, pageSize }) => {
            asked.push([pageToken, query, outputKind, includeSchema, pageSize]);
            if (asked.length === 2) throw draining();
            const page = Number(pageToken || 0);
            return { models: [{ id: `${page}a` }, { id: `${page}b` }], nextPageToken: page < 1 ? "1" : "" };
          },
        },
      });
      const list = client.listModels({ query: "soul", outputKind: "image", includeSchema: true, pageSize: 2 });
      assert.equal((await list.next()).value?.id, "0a");
      assert.equal(asked.length, 1);
      const rest = (await collected(list)).map((found) => found.id);
      assert.deepEqual(rest, ["0b", "1a", "1b"]);
      assert.deepEqual(
        asked,
        ["", "1", "1"].map((token) => [token, "soul", MediaKind.IMAGE, true, 2]),
      );
    });

    test("the other lists send their queries", async (t) => {
      const { client } = await serve(t, transport, {
        catalogs: {
          listMotions: ({ query }) => ({ motions: [{ id: query }] }),
          listSoulStyles: ({ version }) => ({ soulStyles: [{ id: SoulVersion[version] }] }),
          listPresets: ({ modelId, query }) => ({ presets: [{ id: `${query} of ${modelId}` }] }),
        },
      });
      const ids = async (items: AsyncIterable<{ id: string }>) => (await collected(items)).map(({ id }) => id);
      assert.deepEqual(await ids(client.listMotions({ query: "zoom" })), ["zoom"]);
      assert.deepEqual(await ids(client.listSoulStyles()), ["UNSPECIFIED"]);
      assert.deepEqual(await ids(client.listSoulStyles({ version: "v2" })), ["V2"]);
      assert.deepEqual(await ids(client.listPresets("m", { query: "clay" })), ["clay of m"]);
    });

    test("getModel returns a model or throws ModelUnknown", async (t) => {
      const { client } = await serve(t, transport, {
        catalogs: {
          getModel: ({ id }) => {
            if (id !== "m") throw refusal(Code.NotFound, "MODEL_UNKNOWN");
            return { model: { id, parametersSchema: { type: "object" } } };
          },
        },
      });
      assert.deepEqual((await client.getModel("m")).parametersSchema, { type: "object" });
      await assert.rejects(client.getModel("n"), ModelUnknown);
    });
  });
}

test("an unknown enum name is a TypeError", async (t) => {
  const { client } = await serve(t, "grpc", {});
  await assert.rejects(collected(client.listSoulStyles({ version: "v9" as "v2" })), TypeError);
});
