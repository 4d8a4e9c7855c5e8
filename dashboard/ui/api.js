// Calls to the front end and, through it, to dashboards.

import { sha256 } from "./sha256.js";

/** How long a call may take; a dashboard answers reads at once and changes within seconds. */
const CALL_MAX_MS = 70_000;
const READ_MAX_MS = 10_000;

/** What a dashboard, or the front end, says against a call. */
export class CallError extends Error {
  /** @param {number} status @param {string} cause */
  constructor(status, cause) {
    super(cause);
    this.status = status;
  }
}

/**
 * The secret in the paths of a product's dashboard.
 * @param {string} product
 */
export const xauth = (product) => sha256(`Codis-XAuth-[${product}]`).slice(0, 32);

/**
 * @param {string} method @param {string} path @param {number} limit
 * @returns {Promise<{answer: any, warning: string}>} the decoded answer, and what to know of it
 */
function call(method, path, limit) {
  // Not fetch(): an application error has status 800, which it does not take everywhere.
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    request.timeout = limit;
    request.onload = () => {
      const { status, responseText } = request;
      if (status === 200) {
        try {
          resolve({ answer: JSON.parse(responseText), warning: request.getResponseHeader("x-codis-warning") ?? "" });
        } catch {
          reject(new CallError(status, `no JSON: ${responseText.slice(0, 200)}`));
        }
      } else {
        reject(new CallError(status, reason(status, responseText)));
      }
    };
    request.onerror = () => reject(new CallError(0, "the front end does not answer"));
    request.ontimeout = () => reject(new CallError(0, `no answer within ${limit / 1000} s`));
    request.send();
  });
}

const get = async (path) => (await call("GET", path, READ_MAX_MS)).answer;

/** The text for people in an answer that is no success. */
export function reason(status, body) {
  if (status === 403) return "no such product at the front end any more";
  try {
    const { Cause } = JSON.parse(body);
    if (Cause) return Cause;
  } catch {
    // Not every error is JSON.
  }
  return body.trim().slice(0, 500) || `status ${status}`;
}

const on = (product, path, query = {}) =>
  `${path}?${new URLSearchParams({ ...query, forward: product })}`;

/** The names of all products. */
export const list = async () => (await get("/list")) ?? [];

/** Version, settings and model of a product's dashboard. */
export const overview = (product) => get(on(product, "/topom"));

/** The figures of a product. */
export const stats = (product) => get(on(product, `/api/topom/stats/${xauth(product)}`));

/**
 * Anything that only reads: `path` below `/api/topom/`, already escaped.
 * @param {string} product @param {string} path
 */
export const read = (product, path) => get(on(product, `/api/topom/${path}`));

/**
 * A change: `words` are the parts of the path, `X` stands for the secret.
 * @param {string} product @param {(string | number)[]} words @param {Record<string, string>} [query]
 */
export function put(product, words, query) {
  return call("PUT", on(product, `/api/topom/${path(words, xauth(product))}`, query), CALL_MAX_MS);
}

/** The newest entries of the audit log, the oldest of them first. */
export const audit = (product, count) => read(product, `audit/${xauth(product)}/${count}`);

/** The path of a change. The first `X` is the secret; an address may be named X too. */
export function path(words, secret) {
  const at = words.indexOf("X");
  return words
    .map((word, i) => (i === at ? secret : encodeURIComponent(String(word))))
    .join("/");
}
