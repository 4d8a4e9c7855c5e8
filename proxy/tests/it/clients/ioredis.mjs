// ioredis, unmodified, against a proxy. Talks with the test over stdin and stdout.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { ask, eventually, host, password, port } from './talk.mjs';

const load = createRequire(process.env.MODULES);
const { Redis } = load('ioredis');

function client(options = {}) {
  const made = new Redis({ host, port, password, retryStrategy: () => 20, ...options });
  made.on('error', () => {});
  return made;
}

async function commands(c) {
  assert.equal(await c.ping(), 'PONG');
  assert.equal(await c.set('k', 'v'), 'OK');
  assert.equal(await c.get('k'), 'v');
  assert.equal(await c.get('none'), null);
  assert.equal(await c.hset('h', { a: 1, b: 2 }), 2);
  assert.deepEqual({ ...(await c.hgetall('h')) }, { a: '1', b: '2' });
  const names = Array.from({ length: 100 }, (_, n) => `m${n}`);
  assert.equal(await c.mset(new Map(names.map((name) => [name, name]))), 'OK');
  assert.deepEqual(await c.mget(names), names);
  assert.equal(await c.del(names), 100);
  assert.equal(await c.eval('return KEYS[1]', 1, 'k'), 'k');
  c.defineCommand('twice', { numberOfKeys: 1, lua: 'return redis.call("INCRBY", KEYS[1], 2)' });
  assert.equal(await c.twice('n'), 2);
  await assert.rejects(c.keys('*'), /not allowed/);
  const big = Buffer.alloc(8 * 1024 * 1024, 'x');
  await c.set('big', big);
  assert.ok(big.equals(await c.getBuffer('big')));
}

async function pipelines(c) {
  const pipeline = c.pipeline();
  for (let n = 0; n < 5000; n++) {
    pipeline.set(`p${n}`, n).get(`p${n}`);
  }
  const replies = await pipeline.exec();
  for (let n = 0; n < 5000; n++) {
    assert.deepEqual(replies[2 * n], [null, 'OK']);
    assert.deepEqual(replies[2 * n + 1], [null, String(n)]);
  }
}

const c = client();
await commands(c);
await pipelines(c);
const named = client({ connectionName: 'proof', db: 1, enableAutoPipelining: true });
assert.equal(await named.client('GETNAME'), 'proof');
const sets = Array.from({ length: 2000 }, (_, n) => named.set(`auto${n}`, n));
assert.ok((await Promise.all(sets)).every((reply) => reply === 'OK'));
await named.set('k', 'one');
assert.equal(await c.get('k'), 'v');
named.disconnect();
if (password) {
  for (const wrong of ['wrong', undefined]) {
    const refused = client({ password: wrong, retryStrategy: null });
    await assert.rejects(refused.get('k'));
    refused.disconnect();
  }
  const user = client({ username: 'default' });
  assert.equal(await user.get('k'), 'v');
  user.disconnect();
}
c.stream.destroy();
await eventually(async () => assert.equal(await c.get('k'), 'v'));
await ask('RESTART');
await eventually(async () => assert.equal(await c.get('k'), 'v'));
assert.equal(await c.incr('after'), 1);
await c.quit();
console.log(`finished with ioredis ${load('ioredis/package.json').version}`);
process.exit(0);
