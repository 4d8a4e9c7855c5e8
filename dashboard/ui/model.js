// What the figures of a dashboard mean. No browser in here: tests run it with node.

/** @typedef {{level: "bad" | "warn" | "busy", text: string, link: string}} Problem */

export const SLOTS = 1024;
/** How much older than the newest a poll may be before its age is shown, in seconds. */
const STALE_S = 5;

/**
 * The last poll of a peer.
 * @returns {{status: string, level: string, detail: string}}
 */
export function polled(report) {
  if (!report) return { status: "PENDING", level: "warn", detail: "not polled yet" };
  if (report.timeout) return { status: "TIMEOUT", level: "bad", detail: "no answer in time" };
  if (report.error) return { status: "ERROR", level: "bad", detail: report.error.Cause ?? "" };
  return { status: "HEALTHY", level: "good", detail: "" };
}

/** A state that is not good, and for how long. */
const trouble = (row) =>
  `${row.status}${row.age === null ? "" : ` for ${row.age} s`}: ${row.detail}`;

/** The newest time of any poll: the dashboard's clock, as far as we know it. */
function newest(stats) {
  const reports = [stats.group, stats.proxy, stats.sentinels]
    .flatMap((section) => Object.values(section?.stats ?? {}));
  return Math.max(0, ...reports.map((report) => report.unixtime ?? 0));
}

/** How old the last good answer is, when that is worth saying: our dashboards tell of silence. */
function age(report, now) {
  if (report?.age_ms !== undefined) return Math.round(report.age_ms / 1000);
  const seconds = report?.unixtime ? Math.max(0, now - report.unixtime) : 0;
  return seconds > STALE_S ? seconds : null;
}

/** `keys=1,expires=2` as an object of numbers. */
export function pairs(text) {
  const numbers = {};
  for (const part of (text ?? "").split(",")) {
    const [name, value] = part.split("=");
    if (value !== undefined) numbers[name] = Number(value);
  }
  return numbers;
}

/** The databases of a server: `[["db0", {keys, expires}], ...]`. */
export const databases = (info) =>
  Object.entries(info ?? {}).filter(([name]) => /^db\d+$/.test(name))
    .map(([name, text]) => [name, pairs(text)]);

const keys = (info) => databases(info).reduce((sum, [, db]) => sum + (db.keys || 0), 0);

/** Bytes for people. */
export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [Number(count) || 0, 0];
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Whom a server follows, `NO:ONE` for nobody. */
export const follows = (info) =>
  info?.master_addr ? `${info.master_addr}:${info.master_link_status ?? ""}` : "NO:ONE";

/**
 * How the sentinels see a server, when there are any.
 * @returns {"" | "undefined" | "master" | "not_master" | "real_master" | "slave"}
 */
export function haMark(stats, group, index) {
  if (!stats.sentinels?.model?.servers?.length) return "";
  const master = stats.sentinels.masters?.[String(group.id)];
  if (!master) return "undefined";
  const same = group.servers[index].server === master;
  if (index === 0) return same ? "master" : "not_master";
  return same ? "real_master" : "slave";
}

function server(stats, group, index, now) {
  const { server: addr, datacenter, replica_group: replica, action } = group.servers[index];
  const report = stats.group.stats?.[addr];
  const info = report?.stats ?? {};
  const state = polled(report);
  const link = state.status === "HEALTHY" ? follows(info) : null;
  const expected = index === 0 ? "NO:ONE" : `${group.servers[0].server}:up`;
  return {
    addr, index, datacenter, replica: Boolean(replica), info, link,
    link_wrong: link !== null && link !== expected,
    status: state.status, level: state.level, detail: state.detail,
    age: age(report, now),
    ha: haMark(stats, group, index),
    action: action?.state ?? "", action_index: action?.index ?? 0,
    memory: Number(info.used_memory ?? 0), memory_max: Number(info.maxmemory ?? 0),
    databases: databases(info), keys: keys(info),
  };
}

/** Groups with their servers, and what they own. */
export function groups(stats) {
  const now = newest(stats);
  return (stats.group?.models ?? []).map((group) => {
    const servers = group.servers.map((_, index) => server(stats, group, index, now));
    const master = stats.sentinels?.masters?.[String(group.id)];
    return {
      id: group.id, servers, out_of_sync: Boolean(group.out_of_sync),
      promoting: group.promoting?.state ?? "", promoting_index: group.promoting?.index ?? 0,
      ha_elsewhere: master && !group.servers.some((s) => s.server === master) ? master : "",
      ha_conflict: servers.some((s) => s.ha === "real_master"),
      slots: (stats.slots ?? []).filter((slot) => slot.group_id === group.id).length,
    };
  });
}

/** Proxies with the figures of their rows. */
export function proxies(stats) {
  const now = newest(stats);
  return (stats.proxy?.models ?? []).map((proxy) => {
    const report = stats.proxy.stats?.[proxy.token];
    const figures = report?.stats;
    let { status, level, detail } = polled(report);
    if (status === "HEALTHY" && !figures?.online) {
      [status, level, detail] = ["PENDING", "warn", "not online"];
    }
    return {
      ...proxy, figures, status, level, detail,
      age: age(report, now),
      switched: Boolean(figures?.sentinels?.switched),
      primary_only: Boolean(figures?.backend?.primary_only),
    };
  });
}

/** Sentinels with the figures of their rows. */
export function sentinels(stats, product) {
  const now = newest(stats);
  const model = stats.sentinels?.model ?? {};
  return (model.servers ?? []).map((addr) => {
    const report = stats.sentinels.stats?.[addr];
    const own = Object.entries(report?.sentinel ?? {})
      .filter(([name]) => new RegExp(`^-\\d+$`).test(name.slice(product.length))
        && name.startsWith(product));
    const down = own.filter(([, seen]) => (seen.master?.flags ?? "").includes("down"));
    const mean = (count) =>
      own.length ? own.reduce((sum, [, seen]) => sum + count(seen), 0) / own.length : 0;
    return {
      addr, ...polled(report), age: age(report, now),
      masters: own.length, down: down.map(([name]) => name),
      slaves: mean((seen) => seen.slaves?.length ?? 0),
      sentinels: mean((seen) => 1 + Number(seen.master?.["num-other-sentinels"] ?? 0)),
      mismatch: mismatch(stats, product, own),
    };
  });
}

/** Run ids that the sentinel and the dashboard do not both know. */
function mismatch(stats, product, own) {
  const lines = [];
  for (const group of stats.group?.models ?? []) {
    const seen = own.find(([name]) => name === `${product}-${group.id}`)?.[1];
    if (!seen) continue;
    const known = new Map(group.servers
      .map((s) => [stats.group.stats?.[s.server]?.stats?.run_id, s.server])
      .filter(([runId]) => runId));
    const told = [seen.master, ...(seen.slaves ?? [])].filter(Boolean);
    for (const peer of told) {
      if (!known.has(peer.runid)) {
        lines.push(`[+]group=${group.id},server=${peer.ip}:${peer.port},runid=${peer.runid || "NA"}`);
      }
    }
    for (const [runId, addr] of known) {
      if (!told.some((peer) => peer.runid === runId)) {
        lines.push(`[-]group=${group.id},server=${addr},runid=${runId}`);
      }
    }
  }
  return lines;
}

/** Runs of neighbouring slots with the same owner, state and target. */
export function ranges(slots) {
  const runs = [];
  for (const slot of slots ?? []) {
    const state = slot.action?.state ?? "";
    const lane = state ? "migrating" : slot.group_id ? "default" : "offline";
    const last = runs.at(-1);
    const target = slot.action?.target_id ?? 0;
    const goesOn = last && last.end + 1 === slot.id && last.group === slot.group_id
      && last.state === state && last.target === target;
    if (goesOn) last.end = slot.id;
    else runs.push({ beg: slot.id, end: slot.id, group: slot.group_id, state, target, lane });
  }
  return runs;
}

/** The sums of the overview. */
export function totals(stats) {
  const sum = (list, of) => list.reduce((all, item) => all + (Number(of(item)) || 0), 0);
  const figures = proxies(stats).map((proxy) => proxy.figures).filter(Boolean);
  const masters = groups(stats).map((group) => group.servers[0]).filter(Boolean);
  return {
    qps: sum(figures, (f) => f.ops?.qps),
    sessions: sum(figures, (f) => f.sessions?.alive),
    memory: sum(masters, (s) => s.memory),
    keys: sum(masters, (s) => s.keys),
  };
}

/** Whether the sentinels name another master than a group has first. */
export const haConflict = (stats) => groups(stats).some((group) => group.ha_conflict);

/**
 * What is wrong, worst first.
 * @returns {Problem[]}
 */
export function problems(stats, product) {
  const found = [];
  const add = (level, link, text) => found.push({ level, link, text });
  groups(stats).forEach((group) => groupProblems(group, add));
  slotProblems(stats, add);
  for (const proxy of proxies(stats)) {
    const name = `proxy-${proxy.id} (${proxy.admin_addr})`;
    if (proxy.level !== "good") add(proxy.level, "proxies", `${name} is ${trouble(proxy)}`);
    else if (proxy.age !== null) add("warn", "proxies", `${name}: figures are ${proxy.age} s old`);
    if (proxy.switched) add("warn", "proxies", `${name} follows a master that the dashboard does not name: SYNC it`);
  }
  for (const sentinel of sentinels(stats, product)) {
    const name = `sentinel ${sentinel.addr}`;
    if (sentinel.level !== "good") add(sentinel.level, "sentinels", `${name} is ${trouble(sentinel)}`);
    for (const master of sentinel.down) add("bad", "sentinels", `${name} says that the master of ${master} is down`);
    if (sentinel.mismatch.length) add("warn", "sentinels", `${name} knows other servers than the dashboard`);
  }
  if (stats.sentinels?.model?.out_of_sync) add("warn", "sentinels", "sentinels are OUT OF SYNC: SYNC them");
  const order = ["bad", "warn", "busy"];
  return found.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
}

function groupProblems(group, add) {
  const link = `groups/${group.id}`;
  const name = `group-${group.id}`;
  if (group.promoting) add("warn", link, `${name} is promoting: ${group.promoting}`);
  if (group.out_of_sync) add("warn", link, `${name} is OUT OF SYNC: SYNC it`);
  if (group.servers.length === 0 && group.slots) add("bad", link, `${name} owns ${group.slots} slots and has no server`);
  if (group.ha_elsewhere) add("bad", link, `${name}: the sentinels' master ${group.ha_elsewhere} is not in it`);
  for (const server of group.servers) {
    const role = server.index === 0 ? "master" : "replica";
    const who = `${name}: ${role} ${server.addr}`;
    if (server.level !== "good") {
      const level = server.index === 0 ? server.level : "warn";
      add(level, link, `${who} is ${trouble(server)}`);
    } else if (server.link_wrong) {
      const level = server.index === 0 ? "bad" : "warn";
      add(level, link, `${who} ${server.link === "NO:ONE" ? "follows nobody" : `follows ${server.link}`}`);
    } else if (server.age !== null) {
      add("warn", link, `${who}: figures are ${server.age} s old`);
    }
    if (server.ha === "not_master") add("bad", link, `${who} is no master for the sentinels`);
    if (server.action === "synced_failed") add("warn", link, `${who} did not take the order to follow`);
  }
}

function slotProblems(stats, add) {
  const slots = stats.slots ?? [];
  const empty = new Set((stats.group?.models ?? []).map((group) => group.id));
  const offline = slots.filter((slot) => slot.group_id === 0 && !slot.action?.state).length;
  if (offline) add("bad", "slots", `${offline} of ${SLOTS} slots are offline: keys in them are refused`);
  const lost = slots.filter((slot) => slot.group_id && !empty.has(slot.group_id)).length;
  if (lost) add("bad", "slots", `${lost} slots belong to groups that do not exist`);
  const status = stats.slot_action?.progress?.status ?? "";
  if (status.startsWith("[ERROR]")) add("bad", "slots", `migration: ${status}`);
  const moving = slots.filter((slot) => slot.action?.state).length;
  if (moving) {
    const disabled = stats.slot_action?.disabled ? ", and migration is disabled" : "";
    add(disabled ? "warn" : "busy", "slots", `${moving} slots are migrating or wait for it${disabled}`);
  }
}
