// Elements without a library. Text is always text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with properties, handlers (`on...`) and children.
 * @param {string} tag
 * @param {Record<string, any>} [props] `class` and attributes; `on...` are event handlers
 * @param {...(Node | string | number | null | undefined | false | any[])} children
 * @returns {HTMLElement}
 */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : String(child));
    }
  }
  return element;
}

/**
 * A table. A cell is text, a node, or `{class, content}`.
 * @param {(string | {class: string, content: string})[]} heads
 * @param {any[][]} rows
 */
export function table(heads, rows) {
  const cell = (tag) => (value) =>
    value && value.content !== undefined
      ? h(tag, { class: value.class }, value.content)
      : h(tag, {}, value);
  return h("div", { class: "scroll" },
    h("table", {},
      h("thead", {}, h("tr", {}, heads.map(cell("th")))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell("td")))))));
}

/** A number aligned to the right. */
export const number = (content) => ({ class: "number", content });

/** A button that opens the dialog of an action. */
export function button(text, onclick, kind = "") {
  return h("button", { type: "button", class: kind, onclick }, text);
}
