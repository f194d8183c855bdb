// The messages between the webviews and the extension host; types only.

import type { Answer, Chat } from "../../../aura_core/web/chat.js";
import type { Ask, Change, HostEvent, TurnEvent } from "../../../aura_core/web/host-types.js";
import type { Problem, Step } from "../workflow/file.js";

/** Requests of both webviews. */
export type EditorRequest =
  | { type: "load" }
  | { type: "beat" }
  | { type: "copy"; text: string; id: number }
  | { type: "code"; action: "apply" | "insert" | "newFile" | "terminal"; code: string; language: string }
  | { type: "whichFiles"; names: string[]; id: number }
  | { type: "openFile"; name: string; line: number }
  | { type: "command"; command: "aura.startServer" | "aura.setToken" | "aura.openSettings" | "aura.openWorkflow" | "workbench.trust.manage" };

export type FromChat =
  | EditorRequest
  | { type: "ask"; ask: Ask }
  | { type: "stop"; turn: string }
  | { type: "save"; change: Change }
  | { type: "draft"; chat: string; text: string }
  | { type: "open"; chat: string; id: number }
  | { type: "find"; text: string; id: number }
  | { type: "export"; name: string; text: string }
  | { type: "words"; begun: string; id: number }
  | { type: "mention"; word: string; id: number }
  | { type: "dropped"; addresses: string[] }
  | { type: "shown"; chat: string; title: string };

/** `id` is that of the request, whose answer `value` is. */
export type Reply = { type: "ping" } | { type: "answered"; id: number; value: unknown };

export type ToChat =
  | Reply
  | { type: "loaded"; chats: Chat[]; current?: string; events: HostEvent[] }
  | { type: "events"; events: HostEvent[] };

export type FromWorkflow =
  | EditorRequest
  | { type: "run"; from: number; to?: number }
  | { type: "stop" }
  | { type: "runs" }
  | { type: "open"; line?: number };

/** A workflow's file and its complete latest run. */
export interface Shown {
  title: string;
  path: string;
  uri: string;
  problems: Problem[];
  /** Steps whose agent the server does not have. */
  agents: Problem[];
  /** What the results were made with. */
  inputs: Record<string, string>;
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
