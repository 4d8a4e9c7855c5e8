// Every change that the page offers: what is called, what it will do, and the same as a command.
// No browser in here: tests run it with node.

import { haConflict, proxies } from "./model.js";

/**
 * @typedef {{name: string, label: string, kind?: "text" | "number" | "checkbox", value?: any, min?: number,
 *   max?: number, optional?: boolean}} Field
 * @typedef {{title: string, fields?: Field[], danger?: boolean, query?: (f: any) => Record<string, string>,
 *   words: (f: any) => (string | number)[], command: (f: any) => string,
 *   effect: (f: any, stats: any) => string[], plan?: boolean}} Action
 */

const SAFE = /^[\w.:,@%+/=-]+$/;

/** A value as one word of a shell. */
export const quoted = (value) => {
  const text = String(value);
  return SAFE.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
};

const flags = (pairs) =>
  Object.entries(pairs).map(([name, value]) =>
    value === true ? `--${name}` : `--${name}=${quoted(value)}`).join(" ");

const groupOf = (stats, gid) => stats.group.models.find((group) => group.id === Number(gid));
const countOf = (stats, gid) => stats.slots.filter((slot) => slot.group_id === Number(gid)).length;
const missing = (stats, gid) =>
  groupOf(stats, gid)?.servers.length ? [] : [`group-${gid} does not exist or is empty: this will be refused.`];

const CONFLICT = "The sentinels name another master than the dashboard in some group: this spreads the dashboard's view.";
const conflict = (stats) => (haConflict(stats) ? [CONFLICT] : []);

const GID = { name: "gid", label: "Group", kind: "number", min: 1, max: 9999 };
const ADDR = { name: "addr", label: "Address (host:port)" };
const SLOT = { kind: "number", min: 0, max: 1023 };

/** Changes of proxies. */
export const proxyActions = {
  create: {
    title: "New proxy",
    fields: [{ ...ADDR, label: "Admin address (host:port)" }],
    words: (f) => ["proxy", "create", "X", f.addr],
    command: (f) => flags({ "create-proxy": true, addr: f.addr }),
    effect: (f) => [`The proxy at ${f.addr} is registered, gets all slots, and takes clients.`],
  },
  reinit: (proxy, stats) => ({
    title: `SYNC proxy-${proxy.id}`,
    danger: haConflict(stats),
    words: () => ["proxy", "reinit", "X", proxy.token],
    command: () => flags({ "reinit-proxy": true, token: proxy.token }),
    effect: () => [
      `All slots and the sentinels are sent to ${proxy.admin_addr}; clients stay connected.`, ...conflict(stats)],
  }),
  remove: (proxy, force) => ({
    title: `${force ? "Force remove" : "Remove"} proxy-${proxy.id}`,
    danger: true,
    words: () => ["proxy", "remove", "X", proxy.token, force ? 1 : 0],
    command: () => flags({ "remove-proxy": true, token: proxy.token, ...(force ? { force: true } : {}) }),
    effect: (_, stats) => {
      const left = proxies(stats).filter((p) => p.status === "HEALTHY" && p.token !== proxy.token).length;
      const alive = proxy.figures?.sessions?.alive ?? 0;
      return [
        `The proxy at ${proxy.proxy_addr} is shut down; ${alive} clients lose their connection.`,
        `${left} healthy proxies are left.`,
        force ? "Its record goes even when it does not answer: if it still runs, it serves what it last knew."
          : "It stays registered when it does not answer.",
      ];
    },
  }),
};

/** Changes of groups and servers. */
export const groupActions = {
  create: {
    title: "New group",
    fields: [GID],
    words: (f) => ["group", "create", "X", f.gid],
    command: (f) => flags({ "create-group": true, gid: f.gid }),
    effect: (f, stats) => [groupOf(stats, f.gid) ? `group-${f.gid} exists: this will be refused.`
      : `group-${f.gid} is created, without servers or slots.`],
  },
  remove: (gid) => ({
    title: `Remove group-${gid}`,
    danger: true,
    words: () => ["group", "remove", "X", gid],
    command: () => flags({ "remove-group": true, gid }),
    effect: (_, stats) => [countOf(stats, gid) ? `group-${gid} still owns ${countOf(stats, gid)} slots.`
      : `The empty group-${gid} is removed.`],
  }),
  add: (gid) => ({
    title: "Add server",
    fields: [{ ...GID, value: gid }, ADDR, { name: "dc", label: "Data center", optional: true },
      { name: "force", label: "In spite of doubts", kind: "checkbox" }],
    words: (f) => ["group", "add", "X", f.gid, f.addr, ...(f.dc ? [f.dc] : [])],
    query: (f) => (f.force ? { force: "1" } : {}),
    command: (f) => flags({ "group-add": true, gid: f.gid, addr: f.addr, ...(f.dc ? { datacenter: f.dc } : {}),
      ...(f.force ? { force: true } : {}) }),
    effect: (f, stats) => {
      const first = groupOf(stats, f.gid)?.servers.length === 0;
      return [f.force ? "It is added even if it looks like a stranger: of another product, or with data of its own."
        : "It is looked at first, and refused with a reason if it does not belong.", first ? `${f.addr} becomes the master of group-${f.gid}.`
        : `${f.addr} joins group-${f.gid} at its end. It follows the master after a sync action (Sync).`];
    },
  }),
  del: (gid, addr) => ({
    title: `Remove server ${addr}`,
    danger: true,
    words: () => ["group", "del", "X", gid, addr],
    command: () => flags({ "group-del": true, gid, addr }),
    effect: (_, stats) => {
      const real = stats.sentinels?.masters?.[String(gid)] === addr;
      return [`${addr} leaves group-${gid}; the Redis process goes on.`,
        ...(real ? ["It is the master for the sentinels!"] : [])];
    },
  }),
  resync: (gid, stats) => ({
    title: `SYNC group-${gid}`,
    danger: haConflict(stats),
    words: () => ["group", "resync", "X", gid],
    command: () => flags({ "resync-group": true, gid }),
    effect: () => [`The ${countOf(stats, gid)} slots of group-${gid} are sent to all proxies.`, ...conflict(stats)],
  }),
  resyncAll: (stats) => ({
    title: "SYNC all groups",
    danger: haConflict(stats),
    words: () => ["group", "resync-all", "X"],
    command: () => flags({ "resync-group": true, all: true }),
    effect: () => [`The slots of ${stats.group.models.length} groups are sent to all proxies.`, ...conflict(stats)],
  }),
  promote: (gid, server, resume) => ({
    title: `${resume ? "Resume the promotion of" : "Promote"} ${server.addr}`,
    danger: server.ha !== "real_master",
    words: () => ["group", "promote", "X", gid, server.addr],
    command: () => flags({ "promote-server": true, gid, addr: server.addr }),
    effect: (_, stats) => {
      const group = groupOf(stats, gid);
      const real = stats.sentinels?.masters?.[String(gid)];
      return [`${server.addr} becomes the master of group-${gid} in place of ${group?.servers[0]?.server}.`,
        `Requests for its ${countOf(stats, gid)} slots wait at the proxies meanwhile.`,
        server.status === "HEALTHY" ? `Its link is ${server.link}.` : `It is ${server.status}: ${server.detail}`,
        ...(real && real !== server.addr ? [`The sentinels name ${real} as master.`] : [])];
    },
  }),
  replica: (gid, addr, on) => ({
    title: `${on ? "Enable" : "Disable"} reads from ${addr}`,
    words: () => ["group", "replica-groups", "X", gid, addr, on ? 1 : 0],
    command: () => flags({ "replica-groups": true, gid, addr, [on ? "enable" : "disable"]: true }),
    effect: () => [`Proxies ${on ? "may read" : "stop reading"} slots of group-${gid} from ${addr}.`],
  }),
  replicaAll: (on) => ({
    title: `${on ? "Enable" : "Disable"} reads from all servers`,
    words: () => ["group", "replica-groups-all", "X", on ? 1 : 0],
    command: () => flags({ "replica-groups": true, all: true, [on ? "enable" : "disable"]: true }),
    effect: (_, stats) => [`Proxies ${on ? "may read from every server" : "read from masters alone"}: ${
      stats.group.models.length} groups change.`],
  }),
  sync: (gid, server) => ({
    title: `Sync action for ${server.addr}`,
    danger: server.index === 0,
    words: () => ["group", "action", "create", "X", server.addr],
    command: () => flags({ "sync-action": true, create: true, addr: server.addr }),
    effect: (_, stats) => [server.index === 0 ? `${server.addr} is told to follow nobody.`
      : `${server.addr} is told to follow ${groupOf(stats, gid)?.servers[0].server}: its own data is replaced.`],
  }),
  unsync: (server) => ({
    title: `Cancel the sync action of ${server.addr}`,
    words: () => ["group", "action", "remove", "X", server.addr],
    command: () => flags({ "sync-action": true, remove: true, addr: server.addr }),
    effect: () => [`The ${server.action} sync action is forgotten; the server is told nothing.`],
  }),
};

/** What a rebalance makes equal. */
export const REBALANCE = { slots: "number", memory: "memory of the masters", keys: "number of keys" };

/** Changes of slots. */
export const slotActions = {
  range: {
    title: "Migrate range",
    fields: [{ ...SLOT, name: "beg", label: "From slot" }, { ...SLOT, name: "end", label: "To slot" },
      { ...GID, label: "To group" }],
    words: (f) => ["slots", "action", "create-range", "X", f.beg, f.end, f.gid],
    command: (f) => flags({ "slot-action": true, "create-range": true, beg: f.beg, end: f.end, gid: f.gid }),
    effect: (f, stats) => {
      const chosen = stats.slots.filter((slot) => slot.id >= f.beg && slot.id <= f.end);
      const from = [...new Set(chosen.map((slot) => slot.group_id))].map((gid) => gid || "offline");
      const stop = chosen.find((slot) => slot.action?.state || slot.group_id === Number(f.gid));
      return [`${chosen.length} slots move from ${from.join(", ")} to group-${f.gid}, with their keys.`,
        ...(stop ? [`slot-${stop.id} is moving or there already: this will be refused.`] : []),
        ...missing(stats, f.gid)];
    },
  },
  some: {
    title: "Migrate some",
    fields: [{ ...GID, name: "src", label: "From group (0: offline)", min: 0 },
      { ...GID, name: "dst", label: "To group" },
      { ...SLOT, name: "num", label: "How many slots", min: 1, max: 1024 }],
    words: (f) => ["slots", "action", "create-some", "X", f.src, f.dst, f.num],
    command: (f) => flags({ "slot-action": true, "create-some": true, "gid-from": f.src, "gid-to": f.dst,
      "num-slots": f.num }),
    effect: (f, stats) => {
      const free = stats.slots.filter((slot) => slot.group_id === Number(f.src) && !slot.action?.state);
      const some = f.src === f.dst ? [] : free.slice(0, Number(f.num));
      const span = some.length ? `, ${some[0].id} to ${some.at(-1).id}` : "";
      return [`${some.length} slots${span} move from ${Number(f.src) ? `group-${f.src}` : "offline"} to group-${f.dst}.`,
        ...missing(stats, f.dst)];
    },
  },
  one: {
    title: "Migrate one slot",
    fields: [{ ...SLOT, name: "sid", label: "Slot" }, { ...GID, label: "To group" }],
    words: (f) => ["slots", "action", "create", "X", f.sid, f.gid],
    command: (f) => flags({ "slot-action": true, create: true, sid: f.sid, gid: f.gid }),
    effect: (f, stats) => {
      const slot = stats.slots[f.sid];
      return [`slot-${f.sid} moves from ${slot?.group_id ? `group-${slot.group_id}` : "offline"} to group-${f.gid}.`,
        ...missing(stats, f.gid)];
    },
  },
  remove: (sid) => ({
    title: `Remove the pending action of slot-${sid}`,
    words: () => ["slots", "action", "remove", "X", sid],
    command: () => flags({ "slot-action": true, remove: true, sid }),
    effect: () => [`slot-${sid} stays where it is.`],
  }),
  cancel: (sid) => ({
    title: `Cancel the migration of slot-${sid}`,
    danger: true,
    words: () => ["slots", "action", "cancel", "X", sid],
    command: () => flags({ "slot-action": true, cancel: true, sid }),
    effect: (_, stats) => [`Keys of slot-${sid} that moved go back to group-${stats.slots[sid]?.group_id}.`],
  }),
  disabled: (on) => ({
    title: `${on ? "Disable" : "Enable"} migration`,
    words: () => ["slots", "action", "disabled", "X", on ? 1 : 0],
    command: () => flags({ "slot-action": true, disabled: on ? 1 : 0 }),
    effect: (_, stats) => [`${stats.slots.filter((slot) => slot.action?.state).length} slots ${
      on ? "wait until migration is enabled again" : "go on moving"}.`],
  }),
  interval: (now) => ({
    title: "Pause between migration steps",
    fields: [{ name: "us", label: "Microseconds", kind: "number", min: 0, max: 1000000, value: now }],
    words: (f) => ["slots", "action", "interval", "X", f.us],
    command: (f) => flags({ "slot-action": true, interval: f.us }),
    effect: (f) => [`Each slot waits ${f.us} us between two steps; it was ${now} us.`],
  }),
  rebalance: (by) => ({
    title: `Rebalance all slots by ${REBALANCE[by]}`,
    plan: true,
    words: (_, confirm = 1) => ["slots", "rebalance", "X", confirm],
    query: () => (by === "slots" ? {} : { by }),
    command: () => flags({ rebalance: true, ...(by === "slots" ? {} : { by }), confirm: true }),
    effect: () => [],
  }),
};

/** Changes of sentinels. */
export const sentinelActions = {
  add: {
    title: "Add sentinel",
    fields: [ADDR],
    words: (f) => ["sentinels", "add", "X", f.addr],
    command: (f) => flags({ "sentinel-add": true, addr: f.addr }),
    effect: (f) => [`${f.addr} is told to watch every group, and proxies listen to it.`],
  },
  del: (addr, force) => ({
    title: `${force ? "Force remove" : "Remove"} sentinel ${addr}`,
    danger: true,
    words: () => ["sentinels", "del", "X", addr, force ? 1 : 0],
    command: () => flags({ "sentinel-del": true, addr, ...(force ? { force: true } : {}) }),
    effect: (_, stats) => [`${addr} stops watching this product; ${
      stats.sentinels.model.servers.length - 1} sentinels are left.`,
    ...(force ? ["Its record goes even when it does not answer: then it goes on watching and voting."] : [])],
  }),
  resync: (stats) => ({
    title: "SYNC sentinels",
    danger: haConflict(stats),
    words: () => ["sentinels", "resync-all", "X"],
    command: () => flags({ "sentinel-resync": true }),
    effect: () => [`${stats.sentinels.model.servers?.length ?? 0} sentinels are told to watch ${
      stats.group.models.length} groups, and proxies to listen to them.`, ...conflict(stats)],
  }),
};

/** The whole command line of an action. */
export const commandLine = (dashboard, action, fields) =>
  `codis-admin --dashboard=${quoted(dashboard)} ${action.command(fields)}`;

/** Runs of neighbouring slots with the same target, as codis-admin prints a plan. */
export function planLines(plan) {
  const moves = Object.entries(plan).map(([sid, gid]) => [Number(sid), gid]).sort((a, b) => a[0] - b[0]);
  const runs = [];
  for (const [sid, gid] of moves) {
    const last = runs.at(-1);
    if (last && last.gid === gid && last.end + 1 === sid) last.end = sid;
    else runs.push({ beg: sid, end: sid, gid });
  }
  const digits = (sid) => String(sid).padStart(4, "0");
  return runs.map((run) => `[${digits(run.beg)},${digits(run.end)}] => ${run.gid}`);
}

/** What is wrong with the value of a field, or an empty text. */
export function fieldProblem(field, text) {
  if (field.kind === "checkbox") return "";
  if (text.trim() === "") return field.optional ? "" : `${field.label} is missing`;
  if (field.kind !== "number") return /\s/.test(text.trim()) ? `${field.label}: no blanks` : "";
  const value = Number(text);
  const fits = Number.isInteger(value) && value >= field.min && value <= field.max;
  return fits ? "" : `${field.label}: a whole number, ${field.min} to ${field.max}`;
}
