// @ts-check
// Helpers for hosts that store chats: validation of records, merging of two copies, and import from older versions.

import { isRunning, newId, titleOf } from "./chat.js";

/** @typedef {import("./chat.js").Answer} Answer */
/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./chat.js").Turn} Turn */

const STATES = ["connecting", "waiting", "thinking", "answering", "done", "stopped", "failed"];

/**
 * Whether this is the id of a chat or a turn, as created by `newId`; no other string may be used in a file name.
 * @param {unknown} value
 * @returns {value is string}
 */
export function isId(value) {
  return typeof value === "string" && /^[0-9a-f]{24}$/.test(value);
}

/**
 * @param {unknown} value
 * @returns {value is Chat}
 */
export function isChat(value) {
  const { id, agent, title, updated, last, renamed = false, attached = [], deleted = 0 } = /** @type {Partial<Chat>} */ (value ?? {});
  const strings = [agent, title, last].every((text) => typeof text === "string");
  const numbers = [updated, deleted].every((number) => typeof number === "number") && typeof renamed === "boolean";
  return isId(id) && strings && numbers && Array.isArray(attached) && attached.every(isAttachment);
}

/** @param {{ label?: unknown, text?: unknown } | null} value */
function isAttachment(value) {
  return typeof value?.label === "string" && typeof value.text === "string";
}

/**
 * @param {unknown} value
 * @returns {value is Turn}
 */
export function isTurn(value) {
  const { id, chat, after, asked, question, answer } = /** @type {Partial<Turn>} */ (value ?? {});
  if (!isId(id) || !isId(chat) || (after !== "" && !isId(after)) || typeof asked !== "number") return false;
  const { text, attached = [] } = question ?? {};
  if (typeof text !== "string" || !Array.isArray(attached)) return false;
  const sizes = attached.every((one) => typeof one?.label === "string" && typeof one.size === "number");
  return sizes && isAnswer(answer) && answer.turn === id;
}

/**
 * @param {unknown} value
 * @returns {value is Answer}
 */
function isAnswer(value) {
  const { turn, agent, model, state, text, reasoning, began, pieces, ...rest } = /** @type {Partial<Answer>} */ (value ?? {});
  const { thought = 0, first = 0, ended = 0, totalTokens = 0, finishReason = "", reason = "", provider = "", silent = "", failure } = rest;
  const words = [turn, agent, model, text, reasoning, finishReason, reason, provider, silent];
  const strings = words.every((field) => typeof field === "string");
  const numbers = [began, pieces, thought, first, ended, totalTokens].every((field) => typeof field === "number");
  const failed = failure === undefined || (typeof failure?.code === "string" && typeof failure.message === "string");
  return strings && numbers && failed && STATES.includes(state ?? "");
}

/**
 * The later of two copies of a turn: writes of a running turn may arrive after its end.
 * @param {Turn | undefined} kept
 * @param {Turn} given
 * @returns {Turn}
 */
export function mergeTurn(kept, given) {
  if (!kept) return given;
  if (isRunning(kept.answer) !== isRunning(given.answer)) return isRunning(kept.answer) ? given : kept;
  return size(given) >= size(kept) ? given : kept;
}

/** @param {Turn} turn */
function size({ answer }) {
  return answer.text.length + answer.reasoning.length;
}

/**
 * A chat with changed fields. Other fields keep their values, so that concurrent changes of different fields are not lost.
 * @param {Chat | undefined} kept
 * @param {Partial<Chat> & { id: string }} change
 * @returns {Chat}
 */
export function mergeChat(kept, change) {
  const before = kept ?? { agent: "", title: "", updated: 0, last: "" };
  return { ...before, ...change, updated: Math.max(before.updated, change.updated ?? 0) };
}

/**
 * Rebuild a chat from its turns if its own record is lost.
 * @param {string} id
 * @param {Turn[]} turns  at least one
 * @returns {Chat}
 */
export function rebuildChat(id, turns) {
  const ordered = [...turns].sort((a, b) => a.asked - b.asked);
  const newest = ordered[ordered.length - 1];
  const updated = ordered.reduce((latest, { asked, answer }) => Math.max(latest, answer.ended ?? asked), 0);
  const title = titleOf(ordered[0]?.question.text ?? "");
  return { id, agent: newest?.answer.agent ?? "", title, updated, last: newest?.id ?? "" };
}

/**
 * Mark an answer as stopped if the page or window that ran it is gone.
 * @param {Turn} turn
 * @param {string} reason
 */
export function closeOpenEnd({ answer }, reason) {
  if (isRunning(answer)) Object.assign(answer, { state: "stopped", ended: Date.now(), reason });
}

/**
 * Import a chat of Aura 0.1, a list of messages. Another attempt at a question becomes a version of the turn.
 * @param {unknown} value
 * @returns {{ chat: Chat, turns: Turn[] } | null} null: unknown format
 */
export function fromMessages(value) {
  const old = /** @type {{ id?: unknown, agent?: unknown, updated?: unknown, messages?: unknown } | null} */ (value);
  if (typeof old?.id !== "string" || !Array.isArray(old.messages)) return null;
  const id = isId(old.id) ? old.id : newId();
  const updated = typeof old.updated === "number" ? old.updated : Date.now();
  /** @type {Turn[]} */
  const turns = [];
  let after = "";
  /** @type {import("./chat.js").Question} */
  let question = { text: "" };
  for (const message of old.messages) {
    if (message?.role === "user" && typeof message.text === "string") {
      after = turns[turns.length - 1]?.id ?? "";
      const attached = (message.attached ?? []).filter(isAttachment);
      question = { text: message.text };
      if (attached.length) question.attached = attached.map(sizeOf);
    } else if (message?.role === "assistant") {
      const turn = isId(message.turn) ? message.turn : newId();
      const answer = { ...message, turn, reasoning: message.reasoning ?? "", pieces: message.pieces ?? 0 };
      answer.began = typeof answer.began === "number" ? answer.began : updated;
      const made = { id: turn, chat: id, after, asked: answer.began, question, answer };
      if (isTurn(made)) turns.push(made);
    }
  }
  if (turns.length === 0) return null;
  const agent = typeof old.agent === "string" ? old.agent : "";
  const last = turns[turns.length - 1]?.id ?? "";
  return { chat: { id, agent, title: titleOf(turns[0]?.question.text ?? ""), updated, last }, turns };
}

/** @param {import("./chat.js").Attachment} attachment */
export function sizeOf({ label, text }) {
  return { label, size: text.length };
}
