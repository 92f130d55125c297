// Chains with their lag and nodes.

import { attribute, h, keep, text } from "/static/dom.js";
import { clockTime, count, duration, plural, rate } from "/static/format.js";

const HEADS = [
  ["Chain", "number"],
  ["State", ""],
  ["Head", "number"],
  ["Behind", "number"],
  ["Finalized", "number"],
  ["Events", "number"],
  ["Requests per block", "number"],
  ["Nodes", "number"],
];
const STATES = {
  active: ["active", "pill good"],
  standby: ["standby", "pill"],
  cooldown: ["cooldown", "pill warn"],
  wrong_chain: ["wrong chain", "pill bad"],
  over_budget: ["over budget", "pill warn"],
};

/** Table with a row per chain; its button shows the chain's nodes. */
export class Chains {
  constructor() {
    this.rows = new Map();
    this.head = h(
      "thead",
      {},
      h("tr", {}, ...HEADS.map(([title, kind]) => h("th", { class: kind, scope: "col" }, title))),
    );
    this.table = h("table", { class: "chains" }, this.head);
    this.empty = h(
      "p",
      { class: "empty", hidden: true },
      "No chain is watched yet. Start the farm with ",
      h("code", {}, "hookfarm start --chain 1=wss://node.example"),
      ".",
    );
    this.element = h(
      "section",
      { class: "panel" },
      h("div", { class: "panel-head" }, h("h2", {}, "Chains")),
      h("div", { class: "scroll" }, this.table),
      this.empty,
    );
  }

  show({ chains }) {
    this.empty.hidden = chains.length > 0;
    this.table.hidden = !chains.length;
    const ids = chains.map((chain) => chain.chain_id);
    if (ids.join() !== [...this.rows.keys()].join()) {
      this.rows = new Map(ids.map((id) => [id, this.rows.get(id) ?? chainRow(id)]));
      this.table.replaceChildren(this.head, ...[...this.rows.values()].map((row) => row.element));
    }
    for (const chain of chains) this.rows.get(chain.chain_id).show(chain);
  }
}

function chainRow(id) {
  const cells = HEADS.map(() => h("span", {}));
  const detail = h("ul", { class: "nodes", "aria-label": `Nodes of chain ${id}` });
  const proof = h("p", { class: "muted" });
  const below = h("tr", { hidden: true }, h("td", { colspan: HEADS.length }, proof, detail));
  const open = h("button", { class: "quiet", type: "button", "aria-expanded": "false" }, "–");
  open.addEventListener("click", () => {
    below.hidden = !below.hidden;
    attribute(open, "aria-expanded", !below.hidden);
  });
  cells.at(-1).replaceChildren(open);
  const line = h("tr", {}, ...cells.map((cell, index) => h("td", { class: HEADS[index][1] }, cell)));
  const show = (chain) => {
    const nodes = chain.nodes ?? [];
    const values = [
      String(chain.chain_id),
      stateOf(chain),
      count(chain.head),
      count(chain.lag_blocks),
      finalizedOf(chain),
      count(chain.events_published),
      rate(chain.rpc_requests_per_block),
    ];
    values.forEach((value, index) => {
      const [label, look] = Array.isArray(value) ? value : [value, null];
      text(cells[index], label);
      attribute(cells[index], "class", look);
    });
    const usable = nodes.filter((node) => !isUnusable(node)).length;
    text(open, nodes.length ? `${count(usable)} of ${count(nodes.length)}` : "–");
    attribute(open, "class", usable < nodes.length ? "quiet some" : "quiet");
    text(proof, chain.proof ?? "");
    attribute(cells[0], "title", [chain.name, chain.proof].filter(Boolean).join(": "));
    attribute(open, "title", nodes.map(describe).join("\n"));
    attribute(open, "aria-label", `Nodes of chain ${id}: ${usable} of ${nodes.length} usable`);
    open.disabled = !nodes.length;
    keep(detail, nodes, nodeLine, showNode);
  };
  return { element: h("tbody", {}, line, below), show };
}

function stateOf(chain) {
  if (!chain.ready) return ["stalled", "pill bad"];
  if (!chain.catch_up) return ["at the head", "pill good"];
  const { blocks_per_second: speed, remaining_ms: left } = chain.catch_up;
  return [`catching up, ${rate(speed)} blocks/s, ${duration(left)} left`, "pill warn"];
}

function finalizedOf(chain) {
  if (!chain.unsupported_tags?.includes("finalized")) return count(chain.finalized);
  const confirmations = chain.tag_confirmations?.finalized;
  return confirmations ? `no tag (${count(confirmations)})` : "no tag";
}

const isUnusable = (node) => ["cooldown", "wrong_chain", "over_budget"].includes(node.state);

/** Returns the rest of a node's cooldown, and its last error. */
function reasonFor(node) {
  const cooldown = node.cooldown_until === null ? "" : `retry in ${duration(cooldownMs(node))}`;
  const error = node.last_error ? `${node.last_error}, ${clockTime(node.last_error_at)}` : "";
  return [cooldown, error].filter(Boolean).join(" · ");
}

const cooldownMs = (node) => 1000 * Math.ceil(Math.max(0, Date.parse(node.cooldown_until) - Date.now()) / 1000);

const labelFor = (node) => STATES[node.state] ?? [node.state, "pill"];

const describe = (node) => [`${node.name}: ${labelFor(node)[0]}`, reasonFor(node)].filter(Boolean).join(" · ");

function nodeLine() {
  return h("li", {}, h("span", {}), h("code", {}), h("span", { class: "muted" }), h("small", {}));
}

function showNode(line, node) {
  const [state, name, asked, reason] = line.children;
  const [label, look] = labelFor(node);
  const failed = Object.values(node.errors).reduce((sum, number) => sum + number, 0);
  text(state, label);
  attribute(state, "class", look);
  text(name, node.name);
  text(asked, `${plural(node.requests, "request")}, ${plural(failed, "error")}`);
  text(reason, reasonFor(node));
}
