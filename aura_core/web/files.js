// @ts-check
// The user's files: chosen files are attached to the chat as text, exported ones are downloaded.

import { h } from "./dom.js";

/** Characters of one file; more would not fit most models. */
const MOST = 200_000;

/** @type {HTMLInputElement | undefined} */
let input;

/**
 * Let the user choose files.
 * @param {(event: import("./host-types.js").HostEvent) => void} tell
 */
export function pickFiles(tell) {
  if (!input) {
    const made = h("input", { type: "file", multiple: true, hidden: true });
    made.addEventListener("change", async () => {
      const files = [...(made.files ?? [])];
      made.value = ""; // the same file can be chosen again
      for (const file of files) tell(await readFile(file));
    });
    document.body.append(made);
    input = made;
  }
  input.click();
}

/**
 * A file as an attachment, or why it is none.
 * @param {File} file
 * @returns {Promise<import("./host-types.js").HostEvent>}
 */
export async function readFile(file) {
  const { name } = file;
  if (file.type.startsWith("image/")) return { type: "refused", message: `Agents take text: the image ${name} was not attached.` };
  try {
    // A character has four bytes at most.
    const text = file.size > 4 * MOST ? null : new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
    if (text === null || text.length > MOST) {
      return { type: "refused", message: `${name} is too long: up to ${MOST.toLocaleString("en")} characters can be attached.` };
    }
    if (text.includes("\0")) return { type: "refused", message: `${name} is not a text file.` };
    return { type: "attach", label: name, text: `The file ${name}:\n\n${text}` };
  } catch (error) {
    const why = error instanceof TypeError ? "is not a text file" : "cannot be read";
    return { type: "refused", message: `${name} ${why}.` };
  }
}

/**
 * @param {string} name
 * @param {string} text
 */
export function exportFile(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser reads it after it has asked where to save it
}
