// Calls generate() of the official SDK's v1 client. Reads {client, endpoint, params, options} as JSON, and writes
// {jobSet} or {error} as JSON.
import { HiggsfieldClient } from "@higgsfield/client";

const { client, endpoint, params, options } = JSON.parse(process.argv[2]);

try {
  const { id, jobs } = await new HiggsfieldClient(client).generate(endpoint, params, options);
  console.log(JSON.stringify({ jobSet: { id, jobs } }));
} catch (error) {
  const { message, statusCode } = error;
  console.log(JSON.stringify({ error: { type: error.constructor.name, message, statusCode } }));
}
