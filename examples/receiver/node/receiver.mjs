// Webhook receiver: verify, deduplicate, apply, then answer. Needs Node 18 or newer, no packages.
//
//   WEBHOOK_SECRET=whsec_… node receiver.mjs

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;
const MAX_BODY_BYTES = 8 * 1024 * 1024;

const key = Buffer.from((process.env.WEBHOOK_SECRET ?? "").replace(/^whsec_/, ""), "base64");
if (key.length === 0) throw new Error("WEBHOOK_SECRET: must be whsec_ and base64");

// In production, these two are tables. The id (primary key) and the effect of a webhook belong into
// one transaction, which is committed before the answer: only then does a restart lose nothing.
const processed = new Set();
const entries = new Map();

/** Standard Webhooks 1.0: one valid v1 signature among those in the header is enough. */
function isValid(headers, body, now = Date.now() / 1000) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  const signatures = headers["webhook-signature"];
  if (!id || !signatures || !/^\d{1,12}$/.test(timestamp ?? "")) return false;
  if (Math.abs(now - Number(timestamp)) > TOLERANCE_SECONDS) return false;
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(" ").some((signature) => {
    const [version, encoded = ""] = signature.split(",", 2);
    const offered = Buffer.from(encoded, "base64");
    return version === "v1" && offered.length === expected.length && timingSafeEqual(offered, expected);
  });
}

/** Parse a webhook; undefined if the body is malformed. */
function parse(body) {
  try {
    const webhook = JSON.parse(body.toString("utf8"));
    return typeof webhook?.type === "string" && typeof webhook.data?.block_hash === "string" ? webhook : undefined;
  } catch {
    return undefined;
  }
}

/** Apply a webhook once, however often it is delivered. */
function accept(id, { type, original, data }) {
  if (processed.has(id)) return;
  processed.add(id);
  switch (type) {
    case "log.emitted":
    case "transfer.emitted":
      entries.set(id, { data, state: "applied" });
      console.log(`applied ${id} ${position(data)}`);
      break;
    case "log.removed": // A reorg removed the log: undo the effect of `original`.
    case "transfer.removed":
      setState(original, "reversed");
      break;
    case "log.finalized": // No reorg can remove the log any more.
    case "transfer.finalized":
      setState(original, "finalized");
      break;
    default:
      console.log(`ignored ${id} ${type}`);
  }
}

function setState(original, state) {
  const entry = entries.get(original);
  if (entry) entry.state = state;
  console.log(`${state} ${original}`);
}

/** The identity on the chain: block hash and log index, or `t` and transaction index of a transfer. */
function position(data) {
  return `${data.block_hash}:${data.log_index ?? `t${data.transaction_index}`}`;
}

async function readBody(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function statusOf(request) {
  if (request.method !== "POST") return 405;
  const body = await readBody(request);
  if (body === undefined) return 413;
  if (!isValid(request.headers, body)) return 401;
  const webhook = parse(body);
  if (webhook === undefined) return 400;
  // A sample of `hookfarm endpoints test` has no effect.
  if (!("webhook-test" in request.headers)) accept(request.headers["webhook-id"], webhook);
  return 204;
}

const server = createServer(async (request, response) => {
  try {
    response.writeHead(await statusOf(request)).end();
  } catch (error) {
    console.error(error);
    response.destroy(); // No answer: hookfarm sends the webhook again.
  }
});
server.listen(Number(process.env.PORT ?? 9000), process.env.HOST ?? "127.0.0.1", () => {
  const { address, port } = server.address();
  console.log(`listening on http://${address}:${port}`);
});
