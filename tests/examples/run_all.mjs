// `node run_all.mjs FILE...`: run programs one after the other, and tell as JSON lines what each printed.
// One process for all of them: that Node starts is not what is tested.
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";

const print = console.log;
for (const path of process.argv.slice(2)) {
  const lines = [];
  console.log = (...words) =>
    lines.push(...words.map((word) => (typeof word === "string" ? word : inspect(word))).join(" ").split("\n"));
  let error = "";
  try {
    await import(pathToFileURL(path).href);
  } catch (reason) {
    error = inspect(reason);
  }
  print(JSON.stringify({ path, lines, error }));
}
