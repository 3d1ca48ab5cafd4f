// Calls subscribe() of the official SDK. Reads {client, endpoint, options} as JSON, and writes {result} or {error}.
import { createHiggsfieldClient } from "@higgsfield/client/v2";

const { client, endpoint, options } = JSON.parse(process.argv[2]);

try {
  const result = await createHiggsfieldClient(client).subscribe(endpoint, options);
  console.log(JSON.stringify({ result }));
} catch (error) {
  const { message, statusCode } = error;
  console.log(JSON.stringify({ error: { type: error.constructor.name, message, statusCode } }));
}
