// Labels of endpoints: state and subscriptions.

/** Returns the state with its CSS class. */
export function stateOf(endpoint) {
  if (!endpoint.enabled) return ["disabled", "pill"];
  if (endpoint.window.circuit !== "closed") return [`circuit ${endpoint.window.circuit.replace("_", " ")}`, "pill bad"];
  return endpoint.window.failures ? ["failing", "pill warn"] : ["enabled", "pill good"];
}

/** Returns subscriptions as one line. */
export function subscriptionsLabel(subscriptions) {
  if (!subscriptions.length) return "no subscriptions";
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
  const parts = [name];
  if (first.chain_id) parts.push(`chain ${first.chain_id}`);
  if (first.addresses?.length)
    parts.push(
      first.addresses.length === 1 ? `${first.addresses[0].slice(0, 8)}…` : `${first.addresses.length} addresses`,
    );
  if (first.where) parts.push(first.where);
  if (first.confirmations)
    parts.push(
      typeof first.confirmations === "number" ? `${first.confirmations} confirmations` : first.confirmations,
    );
  return parts.join(" · ") + (subscriptions.length > 1 ? ` and ${subscriptions.length - 1} more` : "");
}
