// @ts-check
// Which message Tab reaches: the links and buttons of one, so that a long chat has no more tab stops than a short one.

/** What is a tab stop by itself, or was made one. */
const STOPS = "a[href], button, summary, pre[tabindex], .table[tabindex]";

/**
 * @param {HTMLElement} message
 * @param {boolean} reachable  by Tab; by mouse and by its own keys it always is
 */
export function setReachable(message, reachable) {
  for (const stop of /** @type {NodeListOf<HTMLElement>} */ (message.querySelectorAll(STOPS))) {
    if (!reachable || stop.matches("pre, .table")) stop.tabIndex = reachable ? 0 : -1;
    else stop.removeAttribute("tabindex");
  }
}
