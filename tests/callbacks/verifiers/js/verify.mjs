// Reads {secret, headers, body} as JSON; ends with 0 where the library verifies it, with 1 and its reason where not.
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const { secret, headers, body } = JSON.parse(readFileSync(0, "utf8"));
try {
  new Webhook(secret).verify(body, headers);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
