// The sections of a product, drawn from its figures.

import * as api from "./api.js";
import { groupActions, proxyActions, sentinelActions } from "./actions.js";
import { showRead } from "./dialog.js";
import { button, h, number, svg, table } from "./dom.js";
import * as model from "./model.js";

/** @typedef {{product: string, overview: any, stats: any, history: number[], act: (a: any) => void}} Shown */

const MARKS = { good: "✓", bad: "✗", warn: "!", busy: "…" };

/** A state as a sign and words, never by colour alone. */
const state = (level, status, detail, age) =>
  h("span", { class: level, title: detail }, `${MARKS[level]} ${status}`, age === null ? "" : ` (${age} s old)`);

const outside = (addr, path, text) => h("a", { href: `http://${addr}${path}`, target: "_blank", rel: "noopener" }, text);

/** @param {Shown} shown */
export function overview(shown) {
  const { product, stats } = shown;
  const { config = {}, model: topom = {}, version = "" } = shown.overview ?? {};
  const sums = model.totals(stats);
  const tile = (label, value) => h("div", { class: "tile" }, h("b", {}, value), label);
  return [
    problems(shown),
    h("div", { class: "tiles" },
      tile("requests a second", sums.qps), tile("client sessions", sums.sessions),
      tile("memory of masters", model.bytes(sums.memory)), tile("keys on masters", sums.keys)),
    chart(shown.history),
    table(["", ""], [
      ["Product", product],
      ["Dashboard", outside(topom.admin_addr ?? "", "/topom", topom.admin_addr ?? "")],
      ["Coordinator", `${config.coordinator_name ?? ""} ${config.coordinator_addr ?? ""}`],
      ["Version", version],
      ["Running since", topom.start_time ?? ""],
    ]),
  ];
}

/** The last values, as a line. */
function chart(history) {
  const top = Math.max(1, ...history);
  const points = history.map((value, i) =>
    `${(100 * i) / Math.max(1, history.length - 1)},${(40 - (38 * value) / top).toFixed(2)}`);
  return h("figure", {},
    svg("svg", { class: "chart", viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img",
      "aria-label": `requests a second, at most ${top}` }, svg("polyline", { points: points.join(" ") })),
    h("figcaption", { class: "dim" }, `requests a second, the last ${history.length} polls; top ${top}`));
}

/** @param {Shown} shown */
export function problems({ product, stats }) {
  const found = model.problems(stats, product);
  if (found.length === 0) return h("p", { class: "good" }, "✓ No problems.");
  return h("ul", { class: "problems" }, found.map((problem) =>
    h("li", { class: problem.level }, `${MARKS[problem.level]} `,
      h("a", { href: `#${product}/${problem.link}` }, problem.text))));
}

/** @param {Shown} shown */
export function proxies({ stats, act }) {
  const rows = model.proxies(stats).map((proxy) => {
    const { ops = {}, sessions = {} } = proxy.figures ?? {};
    return [
      proxy.id,
      [outside(proxy.admin_addr, "/proxy", "F"), " ", outside(proxy.admin_addr, "/proxy/stats", "S"),
        proxy.primary_only ? h("b", { class: "bad" }, " primary only") : ""],
      { class: "mono", content: proxy.proxy_addr },
      { class: `mono ${proxy.switched ? "bad" : ""}`, content: proxy.switched ? `${proxy.admin_addr} (switched)` : proxy.admin_addr },
      proxy.datacenter,
      state(proxy.level, proxy.status, proxy.detail, proxy.age),
      proxy.figures ? `total=${sessions.total ?? 0},alive=${sessions.alive ?? 0}` : "",
      proxy.figures ? `total=${ops.total ?? 0},fails=${ops.fails ?? 0},rsp.errs=${ops.redis?.errors ?? 0},qps=${ops.qps ?? 0}` : "",
      h("div", { class: "actions" },
        button("SYNC", () => act(proxyActions.reinit(proxy, stats)),
          proxy.status === "PENDING" || proxy.switched ? "needed danger" : ""),
        button("Remove", () => act(proxyActions.remove(proxy, false)), "danger"),
        proxy.status === "ERROR" && button("Force remove", () => act(proxyActions.remove(proxy, true)), "danger")),
    ];
  });
  return [
    h("h3", {}, `${rows.length} proxies`, button("New proxy", () => act(proxyActions.create))),
    table(["id", "", "Proxy", "Admin", "Data center", "State", "Sessions", "Commands", ""], rows),
  ];
}

/** @param {Shown} shown @param {string} [only] the id of one group */
export function groups(shown, only) {
  const { stats, act, product } = shown;
  const all = model.groups(stats);
  const chosen = only ? all.filter((group) => String(group.id) === only) : all;
  return [
    h("h3", {}, only ? h("a", { href: `#${product}/groups` }, "all groups") : `${all.length} groups`,
      h("div", { class: "actions" },
        button("New group", () => act(groupActions.create)),
        button("Add server", () => act(groupActions.add())),
        button("SYNC all", () => act(groupActions.resyncAll(stats))),
        button("Replicas: enable all", () => act(groupActions.replicaAll(true))),
        button("Replicas: disable all", () => act(groupActions.replicaAll(false))))),
    chosen.map((group) => oneGroup(shown, group)),
  ];
}

function oneGroup({ stats, act, product }, group) {
  return h("section", {},
    h("h3", {},
      h("a", { href: `#${product}/groups/${group.id}` }, group.promoting ? `[ group-${group.id} ]` : `group-${group.id}`),
      h("span", { class: "dim" }, `${group.slots} slots`),
      group.promoting && h("span", { class: "bad" }, `promoting: ${group.promoting}`),
      group.out_of_sync && h("span", { class: "bad" }, "OUT OF SYNC"),
      group.ha_elsewhere && h("span", { class: "bad" }, `[HA: ${group.ha_elsewhere}]`),
      h("div", { class: "actions" },
        button("SYNC", () => act(groupActions.resync(group.id, stats)), group.out_of_sync ? "needed danger" : ""),
        button("Add server", () => act(groupActions.add(group.id))),
        group.servers.length === 0 && button("Remove group", () => act(groupActions.remove(group.id)), "danger"))),
    table(["", "Server", "", "Data center", "Master", "Replica reads", "Sync action", number("Memory"), "Keys", ""],
      group.servers.map((server) => serverRow({ stats, act, product }, group, server))));
}

const HA = {
  "": "", undefined: "unknown to sentinels", master: "[HA]", not_master: "not the sentinels' master",
  real_master: "[HA] the sentinels' master", slave: "",
};
const HA_LEVEL = { undefined: "dim", master: "good", not_master: "bad", real_master: "good" };

function serverRow({ act, product }, group, server) {
  const master = server.index === 0;
  const resume = group.promoting && group.promoting_index === server.index;
  const info = () => showRead(`INFO of ${server.addr}`, api.read(product, `group/info/${encodeURIComponent(server.addr)}`));
  return [
    master ? "master" : server.index,
    h("span", { class: "mono" }, server.addr, " ", h("span", { class: HA_LEVEL[server.ha] ?? "" }, HA[server.ha])),
    button("S", info),
    server.datacenter,
    server.link === null ? state(server.level, server.status, server.detail, server.age)
      : h("span", { class: server.link_wrong ? "bad mono" : "mono" }, server.link_wrong ? "✗ " : "✓ ", server.link,
        server.age === null ? "" : ` (${server.age} s old)`),
    button(server.replica ? "on" : "off", () => act(groupActions.replica(group.id, server.addr, !server.replica))),
    [server.action_index ? `${server.action}:${server.action_index}` : server.action],
    number(server.link === null ? "" : `${model.bytes(server.memory)} / ${server.memory_max ? model.bytes(server.memory_max) : "INF."}`),
    server.databases.map(([name, db]) => h("div", {}, `${name}: keys=${db.keys},expires=${db.expires}`)),
    h("div", { class: "actions" },
      (!master || resume) && button(resume ? "RESUME" : "PROMOTE", () => act(groupActions.promote(group.id, server, resume)),
        server.ha === "real_master" || resume ? "needed" : ""),
      server.action === "pending" ? button("Cancel sync", () => act(groupActions.unsync(server)))
        : button("Sync", () => act(groupActions.sync(group.id, server))),
      (!master || group.servers.length === 1) && button("Remove", () => act(groupActions.del(group.id, server.addr)), "danger")),
  ];
}

/** @param {Shown} shown */
export function sentinels({ product, stats, act }) {
  const record = stats.sentinels?.model ?? {};
  const rows = model.sentinels(stats, product).map((sentinel) => {
    const at = encodeURIComponent(sentinel.addr);
    const reader = (title, path) => () => showRead(`${title} ${sentinel.addr}`, api.read(product, path));
    const mean = (value) => value.toFixed(1);
    return [
      button("WATCHED", reader("Watched by", `sentinels/info/${at}/monitored`)),
      button("S", reader("INFO of", `sentinels/info/${at}`)),
      { class: "mono", content: sentinel.addr },
      [state(sentinel.level, sentinel.status, sentinel.detail, sentinel.age), " ",
        sentinel.level === "good" ? `masters=${sentinel.masters},down=${sentinel.down.length},slaves=${
          mean(sentinel.slaves)},sentinels=${mean(sentinel.sentinels)}` : "",
        sentinel.mismatch.map((line) => h("div", { class: "mono warn" }, line))],
      h("div", { class: "actions" },
        button("Remove", () => act(sentinelActions.del(sentinel.addr, false)), "danger"),
        sentinel.status === "ERROR" && button("Force remove", () => act(sentinelActions.del(sentinel.addr, true)), "danger")),
    ];
  });
  return [
    h("h3", {}, `${rows.length} sentinels`,
      record.out_of_sync && h("span", { class: "bad" }, "OUT OF SYNC"),
      button("Add sentinel", () => act(sentinelActions.add)),
      button("SYNC", () => act(sentinelActions.resync(stats)), record.out_of_sync ? "needed danger" : "")),
    table(["", "", "Sentinel", "State", ""], rows),
  ];
}
