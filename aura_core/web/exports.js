// @ts-check
// A conversation as a file for a person (Markdown, the version on display) or a program (JSON, all versions).

import { sizeInWords } from "./attachments.js";

/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./chat.js").Turn} Turn */

/**
 * @param {Chat} chat
 * @param {Turn[]} path  the turns that are shown
 * @param {(agent: string) => string} name  of an agent
 */
export function asMarkdown(chat, path, name) {
  const parts = [`# ${chat.title || "Chat"}`];
  for (const { question, answer } of path) {
    parts.push("## You", question.text);
    for (const { label, size } of question.attached ?? []) parts.push(`Attached: ${label}, ${sizeInWords(size)}`);
    parts.push(`## ${name(answer.agent)} (${answer.model})`);
    if (answer.text) parts.push(answer.text);
    if (answer.state === "failed") parts.push(`*Failed: ${answer.failure?.message ?? ""}*`);
    else if (answer.state !== "done") parts.push(`*Stopped${answer.reason ? `: ${answer.reason}` : ""}*`);
  }
  return `${parts.join("\n\n")}\n`;
}

/** @param {{ chat: Chat, turns: Turn[], draft?: string }[]} chats */
export function asJson(chats) {
  const whole = chats.map(({ chat, turns, draft }) => ({ ...chat, ...(draft ? { draft } : {}), turns }));
  return `${JSON.stringify({ format: "aura-chats", version: 1, chats: whole }, null, 2)}\n`;
}

/**
 * A name for the file, of letters and digits only.
 * @param {string} title
 * @param {"md" | "json"} kind
 */
export function fileName(title, kind) {
  const words = title.slice(0, 60).match(/[\p{L}\p{N}]+/gu) ?? [];
  return `${["aura", ...words].join("-")}.${kind}`;
}
