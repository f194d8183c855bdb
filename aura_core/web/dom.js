// @ts-check
// Make elements from names, properties and children; text is always text, never markup.

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string | boolean | EventListener | ((event: any) => void)>} [properties]
 *   `onclick` and the like add listeners, `true` sets an empty attribute, `false` sets none.
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/**
 * Whether an input method handles this key: Enter accepts a word that is being composed, Escape discards it. Safari ends the
 * composition before it reports the key, and indicates that only with the code 229.
 * @param {KeyboardEvent} event
 */
export function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}

/**
 * A message of ours or of the server, in which backticks enclose code.
 * @param {string} text
 * @returns {(string | HTMLElement)[]}
 */
export function withCode(text) {
  const parts = text.split("`");
  if (parts.length % 2 === 0) return [text]; // one of them has no partner
  return parts.map((part, index) => (index % 2 ? h("code", {}, part) : part));
}
