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
 * @returns {Promise<any>} the decoded answer
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
          resolve(JSON.parse(responseText));
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

const on = (product, path) => `${path}?forward=${encodeURIComponent(product)}`;

/** The names of all products. */
export const list = async () => (await call("GET", "/list", READ_MAX_MS)) ?? [];

/** Version, settings and model of a product's dashboard. */
export const overview = (product) => call("GET", on(product, "/topom"), READ_MAX_MS);

/** The figures of a product. */
export const stats = (product) =>
  call("GET", on(product, `/api/topom/stats/${xauth(product)}`), READ_MAX_MS);

/**
 * Anything that only reads: `path` below `/api/topom/`, already escaped.
 * @param {string} product @param {string} path
 */
export const read = (product, path) => call("GET", on(product, `/api/topom/${path}`), READ_MAX_MS);

/**
 * A change: `words` are the parts of the path, `X` stands for the secret.
 * @param {string} product @param {(string | number)[]} words
 */
export function put(product, words) {
  return call("PUT", on(product, `/api/topom/${path(words, xauth(product))}`), CALL_MAX_MS);
}

/** The path of a change. The first `X` is the secret; an address may be named X too. */
export function path(words, secret) {
  const at = words.indexOf("X");
  return words
    .map((word, i) => (i === at ? secret : encodeURIComponent(String(word))))
    .join("/");
}
