// @ts-check
// The chats that this browser keeps: each under a key of its own, so that two tabs do not overwrite each other.

/** @typedef {import("./chat.js").Chat} Chat */

const PREFIX = "aura.chat.";
const CURRENT = "aura.current";
/** Chats and characters that are kept; browsers give an origin about five million. */
const MOST = 50;
const ROOM = 4_000_000;

/** @returns {Chat[]} newest first; what cannot be read is left out */
export function readChats() {
  /** @type {Chat[]} */
  const chats = [];
  for (const key of keys()) {
    try {
      const chat = JSON.parse(localStorage.getItem(key) ?? "");
      if (typeof chat.id === "string" && Array.isArray(chat.messages)) chats.push(chat);
    } catch {
      localStorage.removeItem(key);
    }
  }
  return chats.sort((a, b) => b.updated - a.updated);
}

/**
 * Keep a chat, at the cost of the oldest ones; one without messages is forgotten.
 * @param {Chat} chat
 */
export function writeChat(chat) {
  const key = PREFIX + chat.id;
  if (chat.messages.length === 0) {
    localStorage.removeItem(key);
    return;
  }
  const text = JSON.stringify(chat);
  if (text.length > ROOM / 2) return; // it would push out everything else
  sessionStorage.setItem(CURRENT, chat.id);
  const others = readChats().filter((other) => other.id !== chat.id);
  const room = () => others.reduce((sum, other) => sum + JSON.stringify(other).length, text.length);
  while (others.length >= MOST || (others.length && room() > ROOM)) forget(others.pop());
  for (;;) {
    try {
      localStorage.setItem(key, text);
      return;
    } catch {
      if (!others.length) return; // full, or not allowed: the chat lives as long as the page
      forget(others.pop());
    }
  }
}

/** The chat that this tab showed last. */
export function currentChat() {
  return sessionStorage.getItem(CURRENT) ?? undefined;
}

/** @param {Chat | undefined} chat */
function forget(chat) {
  if (chat) localStorage.removeItem(PREFIX + chat.id);
}

function keys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
}
