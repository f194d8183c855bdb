// The messages between the webviews and the extension host; types only.

import type { Answer, Chat } from "../../../aura_core/web/chat.js";
import type { Ask, Change, HostEvent, Opened, TurnEvent } from "../../../aura_core/web/host-types.js";
import type { Problem, Step } from "../workflow/file.js";

/** Requests of both webviews. */
export type EditorRequest =
  | { type: "load" }
  | { type: "beat" }
  | { type: "copy"; text: string; id: number }
  | { type: "code"; action: "insert" | "newFile"; code: string; language: string }
  | { type: "command"; command: "aura.startServer" | "aura.setToken" | "aura.openSettings" | "workbench.trust.manage" };

export type FromChat =
  | EditorRequest
  | { type: "ask"; ask: Ask }
  | { type: "stop"; turn: string }
  | { type: "save"; change: Change }
  | { type: "draft"; chat: string; text: string }
  | { type: "open"; chat: string; id: number }
  | { type: "find"; text: string; id: number }
  | { type: "export"; name: string; text: string }
  | { type: "shown"; chat: string; title: string };

/** `id` is that of the request. */
export type Reply = { type: "ping" } | { type: "copied"; id: number; ok: boolean };

export type ToChat =
  | Reply
  | { type: "loaded"; chats: Chat[]; current?: string; events: HostEvent[] }
  | { type: "opened"; id: number; opened: Opened }
  | { type: "found"; id: number; chats: string[] }
  | { type: "events"; events: HostEvent[] };

export type FromWorkflow =
  | EditorRequest
  | { type: "run"; from: number; to?: number }
  | { type: "stop" }
  | { type: "open"; line?: number };

/** A workflow's file and its complete latest run. */
export interface Shown {
  title: string;
  path: string;
  uri: string;
  problems: Problem[];
  steps: Step[];
  answers: (Answer | null)[];
  running: boolean;
  trusted: boolean;
  /** An error outside of the steps, for example that the results could not be written. */
  trouble: string;
}

export type ToWorkflow =
  | Reply
  | { type: "workflow"; shown: Shown }
  | { type: "begin"; step: number; answer: Answer }
  | { type: "events"; events: { step: number; event: TurnEvent }[] };
