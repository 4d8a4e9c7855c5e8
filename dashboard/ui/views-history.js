// What was changed, by whom, and what came of it: the audit log of the dashboard.

import { h, number, table } from "./dom.js";

const LEVELS = { done: "good", refused: "warn", failed: "bad" };

/** @param {import("./views.js").Shown & {audit: any}} shown @param {string} [only] a kind of entry */
export function history({ product, audit }, only) {
  if (audit === null) return h("p", {}, "Loading.");
  if (!Array.isArray(audit)) return h("p", { class: "warn" }, `! This dashboard has no audit log: ${audit}`);
  const kinds = ["", ...new Set(audit.map((entry) => entry.kind))];
  const chosen = audit.filter((entry) => !only || entry.kind === only).reverse();
  return [
    h("nav", { "aria-label": "Kinds" }, kinds.map((kind) =>
      h("a", { href: `#${product}/history/${kind}`, "aria-current": kind === (only ?? "") ? "page" : false }, kind || "all"))),
    table(["When", "Kind", "Who", "What", "Outcome", number("ms"), "Before and after"], chosen.map(row)),
  ];
}

function row(entry) {
  const from = entry.for ? `${entry.for} through ${entry.from}` : entry.from;
  const who = entry.agent ? `${from} (${entry.agent})` : from;
  const what = entry.order ? `${entry.order} to ${entry.to}, for ${entry.what}` : entry.what;
  return [
    { class: "mono when", content: entry.at }, entry.kind, { class: "mono", content: who }, { class: "mono", content: what },
    h("span", { class: LEVELS[entry.outcome] ?? "" }, entry.outcome, entry.cause ? `: ${entry.cause}` : ""),
    number(entry.took_ms), records(entry.records ?? []),
  ];
}

function records(list) {
  if (list.length === 0) return "";
  const names = list.map((change) => (change.epoch ? `${change.record} at epoch ${change.epoch}` : change.record));
  const text = list.map((change) =>
    `${change.record}\n- ${JSON.stringify(change.before)}\n+ ${JSON.stringify(change.after)}`).join("\n");
  return h("details", {}, h("summary", {}, names.join(", ")), h("pre", {}, text));
}
