// @ts-check
// Files that are dropped on the chat or pasted into it: text is attached; of an image it is said that agents take text.

import { readFile } from "./files.js";

/** @typedef {import("./host-types.js").Host} Host */
/** @typedef {import("./host-types.js").HostEvent} HostEvent */

/** The types under which VS Code and others pass the addresses of dragged files. */
const ADDRESSES = ["application/vnd.code.uri-list", "text/uri-list"];

/**
 * @param {HTMLElement} root  where files may be dropped
 * @param {HTMLElement} input  where they may be pasted
 * @param {Host} host
 * @param {(event: HostEvent) => void} tell
 */
export function takeFiles(root, input, host, tell) {
  root.addEventListener("dragover", (event) => {
    const { dataTransfer } = event;
    if (!dataTransfer?.types.some((type) => type === "Files" || ADDRESSES.includes(type))) return;
    event.preventDefault();
    dataTransfer.dropEffect = "copy";
    root.classList.add("dropping");
  });
  for (const end of ["dragleave", "drop"]) root.addEventListener(end, () => root.classList.remove("dropping"));
  root.addEventListener("drop", (event) => {
    const { dataTransfer } = event;
    const addresses = dataTransfer ? addressesOf(dataTransfer) : [];
    const files = [...(dataTransfer?.files ?? [])];
    if (addresses.length + files.length === 0) return;
    event.preventDefault();
    if (addresses.length && host.dropped) host.dropped(addresses);
    else void take(files, tell);
  });
  input.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    // A copied table or page has a picture of itself beside its text.
    if (files.length === 0 || event.clipboardData?.getData("text/plain")) return;
    event.preventDefault();
    void take(files, tell);
  });
}

/** @param {DataTransfer} data */
function addressesOf(data) {
  const type = ADDRESSES.find((type) => data.getData(type));
  const lines = type ? data.getData(type).split(/\r?\n/) : [];
  return lines.filter((line) => /^(?:file|vscode-remote|vscode-vfs|untitled):/.test(line));
}

/**
 * @param {File[]} files
 * @param {(event: HostEvent) => void} tell
 */
async function take(files, tell) {
  for (const file of files) tell(await readFile(file));
}
