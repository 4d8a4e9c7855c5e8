// What the scripts for both libraries of Node share.

import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';

export const password = process.env.PASSWORD || undefined;
const at = process.env.PROXY.lastIndexOf(':');
export const host = process.env.PROXY.slice(0, at);
export const port = Number(process.env.PROXY.slice(at + 1));

// A script that hangs ends.
setTimeout(() => {
  console.error('not finished within 120 s');
  process.exit(3);
}, 120_000).unref();

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Lets the test do something to the proxy, and waits until it is done. */
export async function ask(what) {
  console.log(what);
  assert.equal((await lines.next()).value, 'done');
}

/** Tries for a while: a client reconnects in its own time. */
export async function eventually(action) {
  for (const end = Date.now() + 30_000; ; ) {
    try {
      return await action();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
