// What an endpoint is and wants, in words.

/** In a word, with its colour. */
export function stateOf(endpoint) {
  if (!endpoint.enabled) return ["disabled", "pill"];
  if (endpoint.window.circuit !== "closed") return [`circuit ${endpoint.window.circuit.replace("_", " ")}`, "pill bad"];
  return endpoint.window.failures ? ["failing", "pill warn"] : ["enabled", "pill good"];
}

/** What subscriptions ask for, in a line. */
export function wanted(subscriptions) {
  if (!subscriptions.length) return "nothing yet";
  const [first] = subscriptions;
  const name = first.events
    ? first.events.map((event) => event.replace("hookfarm.", "")).join(", ")
    : first.event
    ? first.event.split("(")[0]
    : first.kind && first.kind !== "log"
      ? first.kind
      : first.topics
        ? "topics"
        : "any log";
  const words = [name];
  if (first.chain_id) words.push(`chain ${first.chain_id}`);
  if (first.addresses?.length)
    words.push(
      first.addresses.length === 1 ? `${first.addresses[0].slice(0, 8)}…` : `${first.addresses.length} addresses`,
    );
  if (first.where) words.push(first.where);
  if (first.confirmations)
    words.push(
      typeof first.confirmations === "number" ? `${first.confirmations} confirmations` : first.confirmations,
    );
  return words.join(" · ") + (subscriptions.length > 1 ? ` and ${subscriptions.length - 1} more` : "");
}
