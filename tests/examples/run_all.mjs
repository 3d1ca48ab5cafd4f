// `node run_all.mjs FILE...`: runs programs one after the other, and prints the output of each as a line of JSON. All
// run in one process to save the start-up time of Node.
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
