// The lists of the official SDK's v1 client: {client} as JSON in, {motions, styles} or {error} as JSON out.
import { HiggsfieldClient } from "@higgsfield/client";

const { client } = JSON.parse(process.argv[2]);

try {
  const higgsfield = new HiggsfieldClient(client);
  const motions = await higgsfield.getMotions();
  const styles = await higgsfield.getSoulStyles();
  console.log(JSON.stringify({ motions, styles }));
} catch (error) {
  const { message, statusCode } = error;
  console.log(JSON.stringify({ error: { type: error.constructor.name, message, statusCode } }));
}
