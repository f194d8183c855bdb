// @ts-check
// The server's bearer token: requested in a dialog when it is required, stored for this tab or, if the user chooses,
// for longer.

import { h } from "./dom.js";
import { browserStorage, tabStorage } from "./web-storage.js";

const KEY = "aura.token";
/** The characters that a header can contain; with any others fetch fails. */
const TOKEN = /^[\x20-\x7e]+$/;

/** @returns {Record<string, string>} */
export function authorization() {
  const token = tabStorage.get(KEY) ?? browserStorage.get(KEY);
  return token && TOKEN.test(token) ? { authorization: `Bearer ${token}` } : {};
}

/** @type {Promise<boolean> | undefined} */
let asking;

/** Ask for the token. Resolves to whether one was entered; concurrent calls share one dialog. */
export function askToken() {
  asking ??= new Promise((resolve) => {
    const wrong = (tabStorage.get(KEY) ?? browserStorage.get(KEY)) !== null;
    const input = h("input", { type: "password", name: "token", required: true, autocomplete: "current-password" });
    const keep = h("input", { type: "checkbox", name: "keep" });
    const text = wrong ? "The server does not accept this token." : "This server requires a token.";
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id: "aura-token" }, text),
      h("label", {}, "Token", input),
      h("label", { class: "check" }, keep, "Remember it in this browser; otherwise this tab forgets it"),
      h("button", { type: "submit" }, "Continue"),
    );
    const dialog = h("dialog", { class: "token", "aria-labelledby": "aura-token" }, form);
    input.addEventListener("input", () => {
      const fits = input.value === "" || TOKEN.test(input.value.trim());
      input.setCustomValidity(fits ? "" : "A token contains only ASCII characters: no accents, no curly quotes.");
    });
    const end = (/** @type {boolean} */ entered) => {
      dialog.remove();
      asking = undefined;
      resolve(entered);
    };
    dialog.addEventListener("close", () => dialog.isConnected && end(false)); // by Esc
    form.addEventListener("submit", () => {
      tabStorage.remove(KEY);
      browserStorage.remove(KEY);
      (keep.checked ? browserStorage : tabStorage).set(KEY, input.value.trim());
      end(true);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}
