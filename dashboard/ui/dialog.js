// The one dialog: asks for values, shows what will happen and the equal command, then acts.

import * as api from "./api.js";
import { commandLine, fieldProblem, planLines } from "./actions.js";
import { h } from "./dom.js";

const dialog = () => /** @type {HTMLDialogElement} */ (document.getElementById("dialog"));

function open(...content) {
  dialog().replaceChildren(...content);
  if (!dialog().open) dialog().showModal();
}

const close = () => dialog().close();
const heading = (text) => h("h2", { id: "dialog-title" }, text);

/** Shows text that is long, such as INFO. */
export function show(title, text) {
  open(heading(title), h("pre", {}, text),
    h("footer", {}, h("button", { type: "button", onclick: close }, "Close")));
}

/** Shows what `reading` gives, as lines of names and values or as JSON. */
export async function showRead(title, reading) {
  show(title, "Loading.");
  try {
    const answer = await reading;
    const flat = Object.values(answer).every((value) => typeof value === "string");
    const lines = () => Object.entries(answer).map(([name, value]) => `${name}: ${value}`).join("\n");
    show(title, flat ? lines() : JSON.stringify(answer, null, 4));
  } catch (error) {
    show(title, error.message);
  }
}

/**
 * Asks, previews and acts.
 * @param {import("./actions.js").Action} action
 * @param {{product: string, dashboard: string, stats: () => any, done: () => void}} context
 */
export function ask(action, context) {
  const inputs = (action.fields ?? []).map((field) => [field, input(field)]);
  const problem = h("p", { class: "bad", role: "alert" });
  const effect = h("ul", { class: "effect" });
  const command = h("pre", {});
  const confirm = h("button", { type: "submit", class: action.danger ? "danger" : "" },
    action.danger ? "JUST DO IT" : "OK");
  /** @type {any} */
  let values = {};
  const update = () => {
    values = Object.fromEntries(inputs.map(([field, element]) => [field.name, value(field, element)]));
    const wrong = inputs.map(([field, element]) => fieldProblem(field, element.value)).filter(Boolean);
    confirm.disabled = wrong.length > 0;
    problem.textContent = inputs.some(([field, element]) => field.kind !== "checkbox" && element.value !== "") ? wrong.join("; ") : "";
    const lines = wrong.length ? [] : action.effect(values, context.stats());
    effect.replaceChildren(...lines.map((line) => h("li", {}, line)));
    command.textContent = wrong.length ? "" : commandLine(context.dashboard, action, values);
  };
  const act = async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    problem.textContent = "Under way.";
    try {
      const { warning } = await api.put(context.product, action.words(values), action.query?.(values));
      if (warning) show(`${action.title}: done, but`, warning);
      else close();
    } catch (error) {
      problem.textContent = error.message;
      confirm.disabled = false;
    }
    context.done();
  };
  inputs.forEach(([, element]) => element.addEventListener("input", update));
  open(h("form", { onsubmit: act },
    heading(action.title), inputs.map(([field, element]) => h("label", {}, field.label, element)),
    h("h3", {}, "What it does"), effect, h("h3", {}, "The same on a command line"), command, problem,
    h("footer", {}, h("button", { type: "button", onclick: close }, "Cancel"), confirm)));
  update();
  if (action.plan) preview(action, context, effect, confirm);
}

/** Shows the plan of a rebalance before it can be confirmed. */
async function preview(action, context, effect, confirm) {
  confirm.disabled = true;
  const tell = (...lines) => effect.replaceChildren(...lines.map((line) => h("li", { class: "mono" }, line)));
  tell("The dashboard computes the plan.");
  try {
    const { answer: plan } = await api.put(context.product, action.words({}, 0), action.query?.({}));
    const lines = planLines(plan);
    tell(...(lines.length ? [`${Object.keys(plan).length} slots move:`, ...lines] : ["Nothing changes."]));
    confirm.disabled = lines.length === 0;
  } catch (error) {
    tell(error.message);
  }
}

function input(field) {
  const { kind = "text", min, max, value: preset } = field;
  return h("input", { type: kind, name: field.name, min, max, value: preset, autocomplete: "off", spellcheck: "false" });
}

function value(field, element) {
  if (field.kind === "checkbox") return element.checked;
  return field.kind === "number" ? Number(element.value) : element.value.trim();
}
