// The part of a VS Code window that handles chats: the files of one workspace, and the messages of other windows.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newChat, newTurn, type Chat, type Turn } from "../../../aura_core/web/chat.js";
import type { Change } from "../../../aura_core/web/host-types.js";
import { ChangeLog } from "../../src/storage/changeLog.js";
import { ChatFiles } from "../../src/storage/chatFiles.js";
import { ChatStore, type Trouble } from "../../src/storage/chatStore.js";

export const AGENT = { id: "echo", model: "echo" };

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), "aura-chats-"));
}

let asked = 0;

export class Window {
  readonly files;
  readonly store;
  readonly received: Change[] = [];
  readonly stops: string[] = [];
  troubles: Trouble[] = [];

  constructor(folder: string) {
    this.files = new ChatFiles(folder);
    this.store = new ChatStore(this.files, new ChangeLog(join(folder, "changes.jsonl")));
    this.store.audience = {
      changed: (change) => this.received.push(change),
      stop: (turn) => this.stops.push(turn),
      trouble: (trouble) => this.troubles.push(trouble),
    };
  }

  /** Ask like a view: the turn and its changes of the chat are saved, then it runs. */
  ask(chat: Chat, text: string): Turn {
    const turn = newTurn(chat, { text }, AGENT);
    turn.asked = asked = Math.max(asked + 1, turn.asked); // not two in one millisecond
    Object.assign(chat, { last: turn.id, agent: AGENT.id, title: chat.title || text, updated: turn.asked });
    this.store.save(structuredClone({ chat, turns: [turn] }));
    return this.store.begin(turn.id) as Turn;
  }

  /** A whole turn. */
  say(chat: Chat, text: string, answer = "an answer"): Turn {
    const turn = this.ask(chat, text);
    Object.assign(turn.answer, { text: answer, state: "done", ended: Date.now() });
    this.store.updated(turn);
    return turn;
  }

  /** What the user sees: the questions of each chat. */
  get questions(): Record<string, string[]> {
    return Object.fromEntries(this.store.list().map(({ id, title }) => [title || id, this.asked(id)]));
  }

  asked(chat: string): string[] {
    return this.store.open(chat).turns.sort((a, b) => a.asked - b.asked).map(({ question }) => question.text); // prettier-ignore
  }
}

export { newChat };
