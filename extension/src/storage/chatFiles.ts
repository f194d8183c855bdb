// The chats of one workspace as files. Nothing here is ever overwritten by somebody who has not read it.
//
//   <chat>/chat.jsonl    what is known of a chat besides its turns: changes of its fields, one a line, only appended
//   <chat>/<turn>.json   a turn, always whole; only the window that runs it writes it
//   <chat>/draft.txt     what is written and not sent
//   view.json, tab.json  which chat is shown there
//
// VS Code's workspaceState is kept by the window, in a browser even by the browser: what is written while a window goes
// away is lost. Its storageUri is another folder as long as the extension host of a killed window lives on.

import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { isRunning, type Chat, type Turn } from "../../../aura_core/web/chat.js";
import type { Change, Opened } from "../../../aura_core/web/host-types.js";
import { closeOpenEnd, isChat, isId, isTurn, mergeChat, rebuildChat } from "../../../aura_core/web/records.js";
import { writeAtomically } from "../atomicWrite.js";

/** The places that can show a chat. */
export type PlaceName = "view" | "tab";

/** Milliseconds for which a turn counts as running after its window has last written or touched it. */
export const LEASE = 20_000;
/** Milliseconds after which the turns of a deleted chat are removed, and after which no window can restore it. */
const UNDO = 10 * 60_000;
const TOMBSTONE = 30 * 24 * 3600_000;
/** Milliseconds after which an unfinished file counts as left over by a crash. */
const UNFINISHED = 3600_000;

const HEAD = "chat.jsonl";
const DRAFT = "draft.txt";
const FIELDS = ["agent", "title", "updated", "last", "renamed", "attached", "deleted"] as const;

export class ChatFiles {
  readonly folder;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** All chats, including deleted ones; a chat whose own record is lost is rebuilt from its turns. */
  chats(): Chat[] {
    return this.#names("").flatMap((id) => (isId(id) ? (this.#head(id).chat ?? this.#rebuilt(id) ?? []) : []));
  }

  chat(id: string): Chat | undefined {
    return this.#head(id).chat ?? this.#rebuilt(id);
  }

  /** Whether a chat has its own record. */
  hasHead(id: string): boolean {
    return this.#head(id).chat !== undefined;
  }

  /** The stored data of a chat. A turn whose window is gone has ended. */
  open(id: string): Opened {
    const head = this.#head(id);
    const { turns, damaged } = this.#turns(id);
    const chat = head.chat ?? this.#rebuilt(id);
    const draft = this.draft(id);
    const lost = head.damaged + damaged;
    return { turns, ...(chat ? { chat } : {}), ...(draft ? { draft } : {}), ...(lost ? { damaged: lost } : {}) };
  }

  turn(chat: string, id: string): Turn | undefined {
    const path = this.#path(chat, `${checked(id)}.json`);
    const turn = parsed(read(path) ?? "");
    if (!isTurn(turn) || turn.chat !== chat || turn.id !== id) return undefined;
    if (isRunning(turn.answer) && !(age(path) < LEASE)) closeOpenEnd(turn, "the window was closed");
    return turn;
  }

  /** The raw texts of a chat's files, to be searched before they are parsed. */
  texts(id: string): string[] {
    return this.#names(id).flatMap((name) => (isId(stem(name)) ? (read(this.#path(id, name)) ?? []) : []));
  }

  /** Store fields of a chat; other fields keep their values. */
  change(change: Change["chat"]): void {
    append(this.#path(change.id, HEAD), `\n${JSON.stringify(change)}\n`, true);
  }

  write(turn: Turn): void {
    writeAtomically(this.#path(turn.chat, `${checked(turn.id)}.json`), JSON.stringify(turn));
  }

  /** Mark this turn as running. */
  touch({ chat, id }: Turn): void {
    const now = Date.now() / 1000;
    utimesSync(this.#path(chat, `${id}.json`), now, now);
  }

  draft(chat: string): string {
    return read(this.#path(chat, DRAFT)) ?? "";
  }

  writeDraft(chat: string, text: string): void {
    if (text) writeAtomically(this.#path(chat, DRAFT), text);
    else rmSync(this.#path(chat, DRAFT), { force: true });
  }

  shown(place: PlaceName): string | undefined {
    const id = parsed(read(join(this.folder, `${place}.json`)) ?? "");
    return isId(id) ? id : undefined;
  }

  show(place: PlaceName, chat: string | undefined): void {
    const path = join(this.folder, `${place}.json`);
    if (chat === undefined) rmSync(path, { force: true });
    else writeAtomically(path, JSON.stringify(checked(chat)));
  }

  /** Remove unfinished files of a crash, and the turns of chats whose deletion can no longer be undone. */
  tidy(now = Date.now()): void {
    for (const id of this.#names("").filter(isId)) {
      for (const name of this.#names(id)) {
        const path = this.#path(id, name);
        if (name.startsWith(".") && age(path, now) > UNFINISHED) rmSync(path, { force: true });
      }
      const { deleted = 0, updated, title, attached } = this.#head(id).chat ?? { updated: 0, title: "" };
      if (!deleted || now - deleted < UNDO) continue;
      for (const name of this.#names(id)) if (name !== HEAD) rmSync(this.#path(id, name), { force: true });
      if (now - deleted > TOMBSTONE) rmSync(join(this.folder, id), { recursive: true, force: true });
      // The record stays without a text, so that no other window restores the chat.
      else if (title || attached?.length) writeAtomically(this.#path(id, HEAD), `${JSON.stringify({ id, deleted, updated })}\n`);
    }
  }

  #head(id: string): { chat?: Chat; damaged: number } {
    let chat: Chat | undefined;
    let damaged = 0;
    for (const line of (read(this.#path(id, HEAD)) ?? "").split("\n")) {
      if (!line) continue;
      const change = fieldsOf(parsed(line), id);
      const changed = change && mergeChat(chat, change);
      if (isChat(changed)) chat = changed;
      else damaged++;
    }
    return chat ? { chat, damaged } : { damaged };
  }

  #turns(id: string): { turns: Turn[]; damaged: number } {
    const names = this.#names(id).filter((name) => name.endsWith(".json"));
    const turns = names.flatMap((name) => (isId(stem(name)) && this.turn(id, stem(name))) || []);
    return { turns, damaged: names.length - turns.length };
  }

  #rebuilt(id: string): Chat | undefined {
    const { turns } = this.#turns(id);
    if (turns.length) return rebuildChat(id, turns);
    const draft = this.#path(id, DRAFT);
    return existsSync(draft) ? { id, agent: "", title: "", updated: statSync(draft).mtimeMs, last: "" } : undefined;
  }

  #names(chat: string): string[] {
    try {
      return readdirSync(join(this.folder, chat));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || (chat && code === "ENOTDIR")) return []; // the first time; a file of another program
      throw error;
    }
  }

  #path(chat: string, name: string): string {
    return join(this.folder, checked(chat), name);
  }
}

/** The valid fields of a change of this chat; undefined if it is not a change of this chat. */
export function fieldsOf(value: unknown, id: string): Change["chat"] | undefined {
  const given = (value ?? {}) as Record<string, unknown>;
  if (given["id"] !== id || !isId(id)) return undefined;
  const named = FIELDS.filter((field) => given[field] !== undefined);
  const change = { id, ...Object.fromEntries(named.map((field) => [field, given[field]])) };
  return isChat(mergeChat(undefined, change)) ? change : undefined;
}

/** An id becomes part of a file name, so ids from a webview or a folder are validated. */
function checked(id: string): string {
  if (!isId(id)) throw new Error(`${JSON.stringify(String(id).slice(0, 40))} is not the id of a chat or a turn`);
  return id;
}

function stem(name: string): string {
  return name.endsWith(".json") ? name.slice(0, -5) : "";
}

/** Undefined if there is none; an unreadable file is an empty text, and counts as damaged. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? undefined : "";
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // damaged
  }
}

function age(path: string, now = Date.now()): number {
  const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {};
  return mtimeMs === undefined ? Infinity : now - mtimeMs;
}

/** In one call, so that appends of two windows do not mix; a line truncated by a full disk ends at the next line break. */
export function append(path: string, text: string, durable: boolean): void {
  mkdirSync(dirname(path), { recursive: true });
  const handle = openSync(path, "a", 0o600);
  try {
    const bytes = Buffer.from(text);
    if (writeSync(handle, bytes) < bytes.length) throw Object.assign(new Error("the disk is full"), { code: "ENOSPC" });
    if (durable) fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
