// What the page makes of figures.

import assert from "node:assert/strict";
import test from "node:test";

import { sha256 } from "../../ui/sha256.js";
import * as model from "../../ui/model.js";

const GROUP = (id, servers, more = {}) => ({
  id, servers: servers.map((server) => ({ server, datacenter: "", action: {}, replica_group: false })),
  promoting: {}, out_of_sync: false, ...more,
});
const UP = (more = {}) => ({ unixtime: 100, stats: { role: "master", used_memory: "1024", maxmemory: "0", ...more } });

/** Two servers in order, all slots theirs, one proxy, no sentinel. */
function healthy() {
  return {
    slots: Array.from({ length: 1024 }, (_, id) => ({ id, group_id: 1, action: {} })),
    group: {
      models: [GROUP(1, ["a:1", "b:1"])],
      stats: {
        "a:1": UP({ db0: "keys=3,expires=1,avg_ttl=0", db2: "keys=4,expires=0,avg_ttl=0" }),
        "b:1": UP({ master_addr: "a:1", master_link_status: "up", db0: "keys=3,expires=1,avg_ttl=0" }),
      },
    },
    proxy: {
      models: [{ id: 1, token: "t", admin_addr: "p:2", proxy_addr: "p:1", datacenter: "" }],
      stats: { t: { unixtime: 100, stats: { online: true, ops: { qps: 7 }, sessions: { alive: 2 } } } },
    },
    slot_action: { interval: 0, disabled: false, progress: { status: "" }, executor: 0 },
    sentinels: { model: { out_of_sync: false }, stats: {}, masters: {} },
  };
}

const texts = (stats) => model.problems(stats, "demo").map((p) => `${p.level} ${p.link} ${p.text}`);
const only = (change, pattern) => {
  const stats = healthy();
  change(stats);
  const found = texts(stats);
  assert.equal(found.length, 1, found.join("\n"));
  assert.match(found[0], pattern);
};

test("a healthy product has no problems, and sums", () => {
  assert.deepEqual(texts(healthy()), []);
  assert.deepEqual(model.totals(healthy()), { qps: 7, sessions: 2, memory: 1024, keys: 7 });
});

test("our dashboards tell how long a peer is silent", () => {
  const stats = healthy();
  stats.group.stats["b:1"] = { unixtime: 100, timeout: true, age_ms: 2600 };
  assert.equal(model.groups(stats)[0].servers[1].age, 3);
  assert.equal(model.groups(stats)[0].servers[0].age, null);
});

test("a product without anything is readable", () => {
  const empty = { slots: [], group: { models: [], stats: {} }, proxy: { models: [], stats: {} },
    sentinels: { model: {}, stats: {}, masters: {} } };
  assert.deepEqual(texts(empty), []);
  assert.deepEqual(model.groups({}), []);
  assert.deepEqual(model.problems({}, "demo"), []);
});

test("each thing that is wrong is said once, with its place", () => {
  only((s) => { s.group.stats["a:1"] = { unixtime: 100, timeout: true }; }, /^bad groups\/1 .*master a:1 is TIMEOUT/);
  only((s) => { s.group.stats["a:1"] = { unixtime: 100, error: { Cause: "refused" } }; }, /^bad groups\/1 .*ERROR: refused/);
  only((s) => { delete s.group.stats["b:1"]; }, /^warn groups\/1 .*replica b:1 is PENDING/);
  only((s) => { s.group.stats["b:1"].stats.master_link_status = "down"; }, /^warn .*follows a:1:down/);
  only((s) => { delete s.group.stats["b:1"].stats.master_addr; }, /^warn .*b:1 follows nobody/);
  only((s) => { s.group.stats["a:1"].stats.master_addr = "x:1"; }, /^bad .*a:1 follows x:1/);
  only((s) => { s.group.stats["b:1"].unixtime = 80; }, /^warn .*b:1: figures are 20 s old/);
  only((s) => { s.proxy.stats.t = { unixtime: 100, timeout: true, age_ms: 4200 }; }, /^bad proxies proxy-1 .*TIMEOUT for 4 s: no answer/);
  only((s) => { s.group.models[0].out_of_sync = true; }, /^warn groups\/1 .*OUT OF SYNC/);
  only((s) => { s.group.models[0].promoting = { index: 1, state: "prepared" }; }, /^warn .*promoting: prepared/);
  only((s) => { s.group.models[0].servers[1].action = { state: "synced_failed" }; }, /^warn .*did not take the order/);
  only((s) => { s.slots[5].group_id = 0; }, /^bad slots 1 of 1024 slots are offline/);
  only((s) => { s.slots[5].group_id = 2; }, /^bad slots 1 slots belong to groups that do not exist/);
  only((s) => { s.slots[5].action = { index: 1, state: "pending", target_id: 1 }; }, /^busy slots 1 slots are migrating/);
  only((s) => { s.slot_action.progress.status = "[ERROR] Slot[0005]: x"; }, /^bad slots migration: \[ERROR\]/);
  only((s) => { s.proxy.stats.t = { unixtime: 100, timeout: true }; }, /^bad proxies proxy-1 .*TIMEOUT/);
  only((s) => { s.proxy.stats.t.stats.online = false; }, /^warn proxies proxy-1 .*PENDING: not online/);
  only((s) => { s.proxy.stats.t.stats.sentinels = { switched: true }; }, /^warn proxies .*SYNC it/);
  only((s) => { s.sentinels.model.out_of_sync = true; }, /^warn sentinels .*OUT OF SYNC/);
});

test("what is bad comes before what is not", () => {
  const stats = healthy();
  stats.slots[1].action = { index: 1, state: "pending", target_id: 1 };
  stats.sentinels.model.out_of_sync = true;
  stats.proxy.stats.t = { unixtime: 100, timeout: true };
  assert.deepEqual(texts(stats).map((text) => text.split(" ")[0]), ["bad", "warn", "busy"]);
});

test("servers are marked as the sentinels see them", () => {
  const stats = healthy();
  const marks = () => model.groups(stats)[0].servers.map((server) => server.ha);
  assert.deepEqual(marks(), ["", ""]);
  stats.sentinels.model.servers = ["s:1"];
  assert.deepEqual(marks(), ["undefined", "undefined"]);
  stats.sentinels.masters["1"] = "a:1";
  assert.deepEqual(marks(), ["master", "slave"]);
  assert.equal(model.haConflict(stats), false);
  stats.sentinels.masters["1"] = "b:1";
  assert.deepEqual(marks(), ["not_master", "real_master"]);
  assert.equal(model.haConflict(stats), true);
  stats.sentinels.masters["1"] = "c:1";
  assert.equal(model.groups(stats)[0].ha_elsewhere, "c:1");
});

test("a sentinel's figures are those of this product", () => {
  const stats = healthy();
  stats.group.stats["a:1"].stats.run_id = "ra";
  stats.group.stats["b:1"].stats.run_id = "rb";
  const master = { runid: "ra", ip: "a", port: "1", flags: "master", "num-other-sentinels": "2" };
  stats.sentinels.model.servers = ["s:1"];
  stats.sentinels.masters["1"] = "a:1";
  stats.sentinels.stats["s:1"] = { unixtime: 100, stats: { sentinel_masters: "2" }, sentinel: {
    "demo-1": { master, slaves: [{ runid: "rb", ip: "b", port: "1" }] },
    "demo2-1": { master: { ...master, flags: "master,s_down" }, slaves: [] },
  } };
  const [sentinel] = model.sentinels(stats, "demo");
  assert.deepEqual([sentinel.masters, sentinel.down, sentinel.slaves, sentinel.sentinels], [1, [], 1, 3]);
  assert.deepEqual(sentinel.mismatch, []);
  assert.deepEqual(texts(stats), []);
  master.runid = "";
  assert.deepEqual(model.sentinels(stats, "demo")[0].mismatch, [
    "[+]group=1,server=a:1,runid=NA", "[-]group=1,server=a:1,runid=ra"]);
  master.runid = "ra";
  master.flags = "master,o_down";
  assert.match(texts(stats)[0], /^bad sentinels sentinel s:1 says that the master of demo-1 is down/);
});

test("slots become runs", () => {
  const slot = (id, group_id, action = {}) => ({ id, group_id, action });
  const moving = { state: "migrating", index: 1, target_id: 2 };
  const runs = model.ranges([slot(0, 1), slot(1, 1), slot(2, 1, moving), slot(3, 0), slot(4, 0)]);
  assert.deepEqual(runs.map((r) => [r.beg, r.end, r.group, r.lane, r.target]), [
    [0, 1, 1, "default", 0], [2, 2, 1, "migrating", 2], [3, 4, 0, "offline", 0]]);
});

test("the secret is that of the dashboard", () => {
  assert.equal(sha256("Codis-XAuth-[demo]").slice(0, 32), "c32db19baf104a834a2d07a99c55a19a");
  assert.equal(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert.equal(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  assert.equal(sha256("a".repeat(55)).slice(0, 16), "9f4390f8d30c2dd9");
  assert.equal(sha256("a".repeat(56)).slice(0, 16), "b35439a4ac6f0948");
});

test("bytes are for people", () => {
  assert.deepEqual([0, 1023, 1024, 4188616, "", undefined].map(model.bytes),
    ["0 B", "1023 B", "1.0 KiB", "4.0 MiB", "0 B", "0 B"]);
});
