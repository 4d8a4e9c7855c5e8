// node-redis, unmodified, against a proxy. Talks with the test over stdin and stdout.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { ask, eventually, host, password, port } from './talk.mjs';

const load = createRequire(process.env.MODULES);
const { createClient } = load('redis');

function client(options) {
  const socket = { host, port, reconnectStrategy: 20, ...options.socket };
  const made = createClient({ password, ...options, socket });
  made.on('error', () => {});
  return made;
}

async function commands(c) {
  assert.equal(await c.ping(), 'PONG');
  assert.equal(await c.set('k', 'v'), 'OK');
  assert.equal(await c.get('k'), 'v');
  assert.equal(await c.get('none'), null);
  assert.equal(await c.hSet('h', { a: '1', b: '2' }), 2);
  assert.deepEqual({ ...(await c.hGetAll('h')) }, { a: '1', b: '2' });
  assert.equal(await c.zAdd('z', { score: 1.5, value: 'm' }), 1);
  assert.deepEqual(await c.zRangeWithScores('z', 0, -1), [{ value: 'm', score: 1.5 }]);
  const names = Array.from({ length: 100 }, (_, n) => `m${n}`);
  assert.equal(await c.mSet(names.map((name) => [name, name])), 'OK');
  assert.deepEqual(await c.mGet(names), names);
  assert.equal(await c.del(names), 100);
  assert.equal(await c.eval('return KEYS[1]', { keys: ['k'] }), 'k');
  await assert.rejects(c.keys('*'), /not allowed/);
  const big = 'x'.repeat(8 * 1024 * 1024);
  await c.set('big', big);
  assert.equal(await c.get('big'), big);
}

async function pipelines(c) {
  const sent = [];
  for (let n = 0; n < 5000; n++) {
    sent.push(c.set(`p${n}`, String(n)), c.get(`p${n}`));
  }
  const replies = await Promise.all(sent);
  for (let n = 0; n < 5000; n++) {
    assert.equal(replies[2 * n], 'OK');
    assert.equal(replies[2 * n + 1], String(n));
  }
  const batch = await c.multi().set('q', '1').incr('q').execAsPipeline();
  assert.deepEqual(batch, ['OK', 2]);
}

const c = client({ name: 'proof', pingInterval: 200 });
await c.connect();
await commands(c);
await pipelines(c);
assert.equal(await c.clientGetName(), 'proof');
assert.ok((await c.clientId()) > 0);
assert.match(await c.sendCommand(['CLIENT', 'INFO']), / resp=3 /);
const other = client({ database: 1 });
await other.connect();
await other.set('k', 'one');
assert.equal(await c.get('k'), 'v');
other.destroy();
if (password) {
  for (const wrong of [{ password: 'wrong' }, { password: undefined }]) {
    const refused = client({ ...wrong, socket: { reconnectStrategy: false } });
    await assert.rejects(async () => {
      await refused.connect();
      await refused.get('k');
    });
    if (refused.isOpen) refused.destroy();
  }
  const user = client({ username: 'default' });
  await user.connect();
  user.destroy();
}
await ask('RESTART');
await eventually(async () => assert.equal(await c.get('k'), 'v'));
assert.equal(await c.incr('after'), 1);
await c.close();
console.log(`finished with node-redis ${load('redis/package.json').version}`);
process.exit(0);
