// Which product and section is shown, and when its figures are read again.
// The address has the form #product/section/entity, so that everything can be linked to.

import * as api from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import * as model from "./model.js";
import { groups, overview, proxies, sentinels } from "./views.js";
import { history } from "./views-history.js";
import { slots } from "./views-slots.js";

const SECTIONS = { overview, proxies, slots, groups, sentinels, history };
/** How often the list of products is read. */
const LIST_MS = 10_000;
const HISTORY_MAX = 60;
/** Entries of the audit log that are shown. */
const AUDIT_MAX = 200;

const state = {
  /** @type {string[]} */ names: [],
  product: "", section: "overview", entity: "",
  overview: null, stats: null, audit: null, readAt: 0, failure: "",
  /** @type {number[]} */ history: [],
};
let timer = 0;
let reads = 0;

const byId = (id) => /** @type {any} */ (document.getElementById(id));

function route() {
  const [product = "", section = "", entity = ""] =
    location.hash.slice(1).split("/").map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
  if (product !== state.product) {
    Object.assign(state, { product, overview: null, stats: null, audit: null, readAt: 0, failure: "", history: [] });
    poll();
  }
  Object.assign(state, { section: SECTIONS[section] ? section : "overview", entity });
  if (state.section === "history" && product) readAudit();
  draw();
}

/** Reads the figures, then again after the interval. One loop lives: a newer one ends it. */
async function poll() {
  clearTimeout(timer);
  reads += 1;
  const [mine, product] = [reads, state.product];
  if (product) {
    try {
      const first = state.overview ?? (await api.overview(product));
      const stats = await api.stats(product);
      if (mine !== reads) return;
      Object.assign(state, { overview: first, stats, readAt: Date.now(), failure: "" });
      if (state.section === "history") readAudit();
      state.history = [...state.history, model.totals(stats).qps].slice(-HISTORY_MAX);
    } catch (error) {
      if (mine !== reads) return;
      // The dashboard may have moved: its settings are read again.
      Object.assign(state, { overview: null, failure: error.message });
    }
    draw();
  }
  timer = setTimeout(poll, 1000 * Number(byId("interval").value));
}

/** Reads the audit log; the original has none. */
async function readAudit() {
  const { product } = state;
  let audit;
  try {
    audit = await api.audit(product, AUDIT_MAX);
  } catch (error) {
    audit = error.message;
  }
  if (product !== state.product) return;
  state.audit = audit;
  draw();
}

async function readList() {
  try {
    state.names = await api.list();
    if (!state.product && state.names.length === 1) location.hash = `#${state.names[0]}`;
  } catch (error) {
    state.failure = error.message;
  }
  draw();
}

const context = {
  get product() { return state.product; },
  get dashboard() { return state.overview?.model?.admin_addr ?? "?"; },
  stats: () => state.stats,
  done: () => poll(),
};

function draw() {
  const current = (yes) => (yes ? "page" : false);
  byId("products").replaceChildren(...state.names.map((name) =>
    h("a", { href: `#${encodeURIComponent(name)}`, "aria-current": current(name === state.product) }, name)));
  document.title = state.product ? `${state.product} - Codis` : "Codis";
  drawAge();
  const main = byId("main");
  if (!state.product) return main.replaceChildren(h("p", {}, chooseText()));
  const failure = state.failure && h("ul", { class: "problems" },
    h("li", { class: "bad" }, `✗ ${state.product} cannot be read: ${state.failure}`));
  main.replaceChildren(...[tabs(), failure, body()].flat(Infinity).filter(Boolean));
}

function chooseText() {
  if (state.failure) return `✗ ${state.failure}`;
  return state.names.length ? "Choose a product above." : "There is no product yet: start a codis-dashboard.";
}

function tabs() {
  const found = state.stats ? model.problems(state.stats, state.product) : [];
  const tab = (name) => {
    const count = found.filter((problem) => problem.link.split("/")[0] === name && problem.level !== "busy").length;
    return h("a", { href: `#${encodeURIComponent(state.product)}/${name}`,
      "aria-current": name === state.section ? "page" : false }, count ? `${name} (${count})` : name);
  };
  return h("nav", { class: "tabs", "aria-label": "Sections" }, Object.keys(SECTIONS).map(tab));
}

function body() {
  if (!state.stats) return state.failure ? null : h("p", {}, "Loading.");
  const act = (action) => ask(action, context);
  return SECTIONS[state.section]({ ...state, act }, state.entity);
}

function drawAge() {
  const seconds = state.readAt ? Math.round((Date.now() - state.readAt) / 1000) : null;
  const old = seconds !== null && seconds > 3 * Number(byId("interval").value) + 5;
  byId("age").textContent = seconds === null ? "" : `data is ${seconds} s old`;
  byId("age").className = old || state.failure ? "bad" : "";
}

byId("interval").addEventListener("input", () => {
  byId("interval-shown").textContent = `${byId("interval").value} s`;
  poll();
});
window.addEventListener("hashchange", route);
setInterval(drawAge, 1000);
setInterval(readList, LIST_MS);
route();
poll();
readList();
