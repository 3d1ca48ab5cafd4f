// Creates and lists Soul IDs with the official SDK's v1 client. Reads {client, data} as JSON, and writes {made, listed}
// or {error} as JSON.
import { HiggsfieldClient } from "@higgsfield/client";

const { client, data } = JSON.parse(process.argv[2]);

try {
  const higgsfield = new HiggsfieldClient(client);
  const made = await higgsfield.createSoulId(data);
  const listed = await higgsfield.listSoulIds(1, 2);
  console.log(JSON.stringify({ made, listed }));
} catch (error) {
  const { message, statusCode } = error;
  console.log(JSON.stringify({ error: { type: error.constructor.name, message, statusCode } }));
}
