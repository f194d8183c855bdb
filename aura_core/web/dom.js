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
 * Whether an input method has this key: Enter takes a word that is being composed, Escape gives it up. Safari ends the
 * composition before it tells of the key, and says so with the code 229 only.
 * @param {KeyboardEvent} event
 */
export function isComposing(event) {
  return event.isComposing || event.keyCode === 229;
}
