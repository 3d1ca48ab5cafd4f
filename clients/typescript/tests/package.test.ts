import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { VERSION } from "@hfgateway/client";

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

test("the user agent has the version of the package", () => {
  assert.equal(VERSION, manifest.version);
});

test("all connect packages have the same exact version: releases are compatible only with themselves", () => {
  const versions = Object.entries<string>(manifest.dependencies).filter(([name]) => name.startsWith("@connectrpc/"));
  assert.equal(versions.length, 3);
  assert.equal(new Set(versions.map(([, version]) => version)).size, 1);
  assert.match(versions[0]![1], /^\d+\.\d+\.\d+$/);
});

test("compilers that do not read exports, as with the module resolution node10, find the same types", () => {
  const { exports, types, typesVersions } = manifest;
  const exported = Object.entries<{ types?: string; default?: { types: string } | string }>(exports).flatMap(
    ([entry, target]) => {
      const found = typeof target.default === "object" ? target.default.types : target.types;
      return found ? [[entry, found]] : [];
    },
  );
  const legacy = Object.entries<string[]>(typesVersions["*"]).map(([entry, [path]]) => [`./${entry}`, path]);
  assert.deepEqual([[".", types], ...legacy], exported);
});
