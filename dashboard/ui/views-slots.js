// Who owns which slots, and what moves.

import { REBALANCE, slotActions } from "./actions.js";
import { button, h, svg, table } from "./dom.js";
import { ranges, SLOTS } from "./model.js";

const LANES = ["offline", "migrating", "default"];
/** Rows of the table of actions that are drawn; the rest is counted. */
const ACTIONS_SHOWN_MAX = 200;

/** A hue for each group, far from that of its neighbours. */
const colour = (group) => (group ? `hsl(${(group * 137) % 360} 60% 50%)` : "#c33");
const count = (range) => range.end - range.beg + 1;
const span = (range) => (range.beg === range.end ? String(range.beg) : `${range.beg}-${range.end}`);

/** @param {import("./views.js").Shown} shown */
export function slots({ product, stats, act }) {
  const runs = ranges(stats.slots);
  const { slot_action: action = {} } = stats;
  const disabled = Boolean(action.disabled);
  const status = action.progress?.status ?? "";
  return [
    h("h3", {}, "Slots", h("div", { class: "actions" },
      button("Migrate range", () => act(slotActions.range)),
      button("Migrate some", () => act(slotActions.some)),
      button("Migrate one", () => act(slotActions.one)),
      Object.keys(REBALANCE).map((by) =>
        button(`Rebalance by ${by}`, () => act(slotActions.rebalance(by)))))),
    lanes(runs),
    legend(product, runs),
    h("h3", {}, "Migration",
      h("span", { class: disabled ? "warn" : "good" }, disabled ? "! disabled" : "✓ enabled"),
      button(disabled ? "Enable" : "Disable", () => act(slotActions.disabled(!disabled))),
      button(`Pause: ${action.interval ?? 0} us`, () => act(slotActions.interval(action.interval ?? 0)))),
    h("p", { class: status.startsWith("[ERROR]") ? "bad mono" : "mono" },
      status || (stats.slots.some((slot) => slot.action?.state) ? "No step yet." : "Nothing moves."), ` (commands in flight: ${action.executor ?? 0})`),
    actions(stats.slots, act),
  ];
}

/** Three lanes, 1024 slots wide. */
function lanes(runs) {
  const bars = runs.map((range) =>
    svg("rect", { x: range.beg, y: LANES.indexOf(range.lane) * 10 + 1, width: count(range), height: 8,
      fill: colour(range.state ? range.target : range.group) },
    svg("title", {}, `${span(range)}: ${describe(range)}`)));
  return svg("svg", { class: "lanes", viewBox: `0 0 ${SLOTS} 30`, preserveAspectRatio: "none", role: "img",
    "aria-label": "slots, in lanes: offline, migrating, default" }, bars);
}

function describe(range) {
  if (range.state) return `group-${range.group} to group-${range.target}, ${range.state}`;
  return range.group ? `group-${range.group}` : "offline";
}

function legend(product, runs) {
  const of = new Map();
  for (const range of runs) {
    const key = `${LANES.indexOf(range.lane)} ${String(range.group).padStart(4, "0")} ${range.state} ${range.target}`;
    of.set(key, [...(of.get(key) ?? []), range]);
  }
  const rows = [...of.entries()].sort().map(([, list]) => {
    const total = list.reduce((sum, range) => sum + count(range), 0);
    const [first] = list;
    const swatch = svg("svg", { class: "swatch", viewBox: "0 0 1 1" },
      svg("rect", { width: 1, height: 1, fill: colour(first.state ? first.target : first.group) }));
    const who = first.group ? h("a", { href: `#${product}/groups/${first.group}` }, describe(first)) : describe(first);
    return [[swatch, who], first.lane, total, { class: "mono", content: list.map(span).join(" ") }];
  });
  return table(["Group", "Lane", "Slots", "Ranges"], rows);
}

function actions(all, act) {
  const moving = all.filter((slot) => slot.action?.state)
    .sort((a, b) => a.action.index - b.action.index || a.id - b.id);
  if (moving.length === 0) return null;
  const rows = moving.slice(0, ACTIONS_SHOWN_MAX).map((slot) => {
    const pending = slot.action.state === "pending";
    const stop = pending ? slotActions.remove(slot.id) : slotActions.cancel(slot.id);
    return [slot.id, slot.group_id || "offline", slot.action.target_id, slot.action.index ?? 0, slot.action.state,
      button(pending ? "Remove" : "Cancel", () => act(stop), pending ? "" : "danger")];
  });
  const more = moving.length - rows.length;
  return [
    table(["Slot", "Group", "Target", "Index", "State", ""], rows),
    more > 0 && h("p", { class: "dim" }, `and ${more} more`),
  ];
}
