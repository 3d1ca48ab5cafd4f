/**
 * Bundles the page with the TypeScript client into the file that is the first argument.
 *
 * Modules that the page never uses are left out, a fifth of the script: the messages of other services, uploads, and
 * protobuf's JSON format. A call of something that was left out fails with a TypeError.
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "../clients/typescript/node_modules/esbuild/lib/main.js";

const UNUSED = new RegExp(
  [
    "hfgateway/v1/(callback|character|token|upload)_service_pb",
    "clients/typescript/dist/uploads",
    "@bufbuild/protobuf/dist/esm/(equals|from-json|to-json)",
  ].join("|"),
);

/** Replaces a module by one with the same exports, each of which is like a service without RPCs. */
async function withoutContent({ path }) {
  const names = [...(await readFile(path, "utf8")).matchAll(/^export (?:const|var|function) (\w+)/gm)];
  const list = names.map(([, name]) => `nothing as ${name}`).join(", ");
  return { contents: `const nothing = { method: {} }; export { ${list} };` };
}

const leaveOut = { name: "leave out", setup: (steps) => steps.onLoad({ filter: UNUSED }, withoutContent) };
const here = fileURLToPath(new URL(".", import.meta.url));

await build({
  entryPoints: [join(here, "src", "main.ts")],
  outfile: argv[2],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  logLevel: "warning",
  alias: { "@hfgateway/client/browser": join(here, "..", "clients", "typescript", "dist", "browser.js") },
  banner: { js: "/* Built from page/ by tools/page.py. */" },
  plugins: [leaveOut],
});
