// Reads the lists with the official SDK's v1 client. Reads {client} as JSON, and writes {motions, styles} or {error}.
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
