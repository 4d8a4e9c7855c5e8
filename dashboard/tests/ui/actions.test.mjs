// What the page calls, and the command that it says is the same.

import assert from "node:assert/strict";
import test from "node:test";

import * as actions from "../../ui/actions.js";
import { path, reason } from "../../ui/api.js";

const { groupActions, proxyActions, sentinelActions, slotActions } = actions;
const stats = {
  slots: Array.from({ length: 1024 }, (_, id) => ({ id, group_id: id < 512 ? 1 : 2, action: {} })),
  group: { models: [1, 2].map((id) => ({ id, servers: [{ server: `m${id}:1`, action: {} }, { server: `r${id}:1`, action: {} }],
    promoting: {} })), stats: {} },
  proxy: { models: [], stats: {} },
  sentinels: { model: { servers: ["s:1"] }, masters: { 1: "m1:1", 2: "m2:1" }, stats: {} },
};
const proxy = { id: 3, token: "tok", admin_addr: "p:2", proxy_addr: "p:1" };
const server = { addr: "r1:1", index: 1, status: "HEALTHY", link: "m1:1:up", ha: "slave", action: "pending" };

/** Every action with its values, its path and its flags. */
const TABLE = [
  [proxyActions.create, { addr: "p:2" }, "proxy/create/X/p:2", "--create-proxy --addr=p:2"],
  [proxyActions.reinit(proxy, stats), {}, "proxy/reinit/X/tok", "--reinit-proxy --token=tok"],
  [proxyActions.remove(proxy, false), {}, "proxy/remove/X/tok/0", "--remove-proxy --token=tok"],
  [proxyActions.remove(proxy, true), {}, "proxy/remove/X/tok/1", "--remove-proxy --token=tok --force"],
  [groupActions.create, { gid: 3 }, "group/create/X/3", "--create-group --gid=3"],
  [groupActions.remove(3), {}, "group/remove/X/3", "--remove-group --gid=3"],
  [groupActions.add(), { gid: 1, addr: "n:1", dc: "" }, "group/add/X/1/n:1", "--group-add --gid=1 --addr=n:1"],
  [groupActions.add(), { gid: 1, addr: "n:1", dc: "d c" }, "group/add/X/1/n:1/d c",
    "--group-add --gid=1 --addr=n:1 --datacenter='d c'"],
  [groupActions.del(1, "r1:1"), {}, "group/del/X/1/r1:1", "--group-del --gid=1 --addr=r1:1"],
  [groupActions.resync(1, stats), {}, "group/resync/X/1", "--resync-group --gid=1"],
  [groupActions.resyncAll(stats), {}, "group/resync-all/X", "--resync-group --all"],
  [groupActions.promote(1, server, false), {}, "group/promote/X/1/r1:1", "--promote-server --gid=1 --addr=r1:1"],
  [groupActions.replica(1, "r1:1", true), {}, "group/replica-groups/X/1/r1:1/1",
    "--replica-groups --gid=1 --addr=r1:1 --enable"],
  [groupActions.replicaAll(false), {}, "group/replica-groups-all/X/0", "--replica-groups --all --disable"],
  [groupActions.sync(1, server), {}, "group/action/create/X/r1:1", "--sync-action --create --addr=r1:1"],
  [groupActions.unsync(server), {}, "group/action/remove/X/r1:1", "--sync-action --remove --addr=r1:1"],
  [slotActions.range, { beg: 0, end: 9, gid: 2 }, "slots/action/create-range/X/0/9/2",
    "--slot-action --create-range --beg=0 --end=9 --gid=2"],
  [slotActions.some, { src: 1, dst: 2, num: 5 }, "slots/action/create-some/X/1/2/5",
    "--slot-action --create-some --gid-from=1 --gid-to=2 --num-slots=5"],
  [slotActions.one, { sid: 7, gid: 2 }, "slots/action/create/X/7/2", "--slot-action --create --sid=7 --gid=2"],
  [slotActions.remove(7), {}, "slots/action/remove/X/7", "--slot-action --remove --sid=7"],
  [slotActions.cancel(7), {}, "slots/action/cancel/X/7", "--slot-action --cancel --sid=7"],
  [slotActions.disabled(true), {}, "slots/action/disabled/X/1", "--slot-action --disabled=1"],
  [slotActions.interval(0), { us: 10 }, "slots/action/interval/X/10", "--slot-action --interval=10"],
  [slotActions.rebalance("slots"), {}, "slots/rebalance/X/1", "--rebalance --confirm"],
  [slotActions.rebalance("keys"), {}, "slots/rebalance/X/1", "--rebalance --by=keys --confirm"],
  [sentinelActions.add, { addr: "s:2" }, "sentinels/add/X/s:2", "--sentinel-add --addr=s:2"],
  [sentinelActions.del("s:1", true), {}, "sentinels/del/X/s:1/1", "--sentinel-del --addr=s:1 --force"],
  [sentinelActions.resync(stats), {}, "sentinels/resync-all/X", "--sentinel-resync"],
];

test("each action has its path, its command and an effect to show", () => {
  for (const [action, values, words, flags] of TABLE) {
    assert.equal(action.words(values).join("/"), words);
    assert.equal(actions.commandLine("d:1", action, values), `codis-admin --dashboard=d:1 ${flags}`);
    const effect = action.effect(values, stats);
    assert.ok(action.plan || effect.length > 0, action.title);
    for (const line of effect) assert.doesNotMatch(line, /undefined|NaN|null/, action.title);
  }
});

test("what goes into the query is what the command says", () => {
  const add = groupActions.add();
  assert.deepEqual(add.query({ force: false }), {});
  assert.deepEqual(add.query({ force: true }), { force: "1" });
  assert.match(add.command({ gid: 1, addr: "n:1", force: true }), / --force$/);
  assert.deepEqual(slotActions.rebalance("slots").query(), {});
  assert.deepEqual(slotActions.rebalance("memory").query(), { by: "memory" });
});

test("no action is left out of the table", () => {
  const all = [proxyActions, groupActions, slotActions, sentinelActions].flatMap(Object.keys).length;
  assert.equal(new Set(TABLE.map(([action]) => action.title.replace("Force remove", "Remove"))).size >= all - 1, true);
});

test("an effect says what will be refused", () => {
  const line = (action, values) => action.effect(values, stats).join("\n");
  assert.match(line(slotActions.range, { beg: 500, end: 520, gid: 2 }), /21 slots move from 1, 2 .*\n.*slot-512 is .*refused/);
  assert.match(line(slotActions.some, { src: 1, dst: 2, num: 5 }), /5 slots, 0 to 4 move from group-1/);
  assert.match(line(slotActions.one, { sid: 1, gid: 9 }), /group-9 does not exist/);
  assert.match(line(groupActions.create, { gid: 1 }), /exists: this will be refused/);
  assert.match(line(groupActions.promote(1, server, false), {}), /in place of m1:1[^]*512 slots[^]*sentinels name m1:1/);
});

test("what goes against the sentinels is marked", () => {
  assert.equal(groupActions.resync(1, stats).danger, false);
  const other = { ...stats, sentinels: { ...stats.sentinels, masters: { 1: "r1:1", 2: "m2:1" } } };
  for (const action of [groupActions.resync(1, other), groupActions.resyncAll(other), sentinelActions.resync(other),
    proxyActions.reinit(proxy, other)]) {
    assert.equal(action.danger, true);
    assert.match(action.effect({}, other).join("\n"), /sentinels name another master/);
  }
  assert.match(groupActions.del(1, "r1:1").effect({}, other).join("\n"), /master for the sentinels/);
});

test("values cannot leave their place", () => {
  assert.equal(path(["group", "add", "X", 1, "a/b?c", "X"], "secret"), "group/add/secret/1/a%2Fb%3Fc/X");
  assert.equal(actions.quoted("a'b; rm"), "'a'\\''b; rm'");
  assert.equal(actions.quoted("[::1]:6379"), "'[::1]:6379'");
});

test("fields are checked before they are sent", () => {
  const number = { name: "gid", label: "Group", kind: "number", min: 1, max: 9999 };
  const wrong = ["", "0", "10000", "1.5", "x"].filter((text) => actions.fieldProblem(number, text) === "");
  assert.deepEqual(wrong, []);
  assert.equal(actions.fieldProblem(number, "9999"), "");
  assert.equal(actions.fieldProblem({ label: "A", optional: true }, " "), "");
  assert.notEqual(actions.fieldProblem({ label: "A" }, "a b"), "");
});

test("a plan is printed as codis-admin prints it", () => {
  assert.deepEqual(actions.planLines({ 10: 2, 1: 1, 0: 1, 2: 2, 11: 2 }),
    ["[0000,0001] => 1", "[0002,0002] => 2", "[0010,0011] => 2"]);
});

test("an error is shown by its cause", () => {
  assert.equal(reason(800, '{"Cause": "group-[1] already exists", "Stack": null}'), "group-[1] already exists");
  assert.equal(reason(502, "dashboard of demo: refused\n"), "dashboard of demo: refused");
  assert.equal(reason(500, ""), "status 500");
});
