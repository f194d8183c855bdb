// The webview's side of the channel to the extension host.

import type { CodeAction, Remedy } from "../../../aura_core/web/host-types.js";
import { SHELLS } from "../code/shells.js";
import { GONE, LOCKED, STRANGE } from "../failures.js";
import type { Reply, EditorRequest } from "./messages.js";

interface Api {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare function acquireVsCodeApi(): Api;

export class Channel<From, To extends { type: string }> {
  #api = acquireVsCodeApi();
  /** Pending requests to the extension host, by number. */
  #waiting = new Map<number, (value: never) => void>();
  #asked = 0;

  constructor(receive: (message: Exclude<To, Reply>) => void) {
    addEventListener("message", ({ data }: MessageEvent<To | Reply>) => {
      const reply = data as Reply;
      if (reply.type === "ping") this.#request({ type: "beat" });
      else if (reply.type === "answered") this.#answered(reply.id, reply.value);
      else receive(data as Exclude<To, Reply>);
    });
  }

  post(message: From | EditorRequest): void {
    this.#api.postMessage(message);
  }

  /** Send a request with this number, and wait for the answer to it. */
  ask<T>(request: (id: number) => From | EditorRequest): Promise<T> {
    const id = ++this.#asked;
    const answered = new Promise<T>((resolve) => this.#waiting.set(id, resolve));
    this.post(request(id));
    return answered;
  }

  #answered(id: number, value: unknown): void {
    this.#waiting.get(id)?.(value as never);
    this.#waiting.delete(id);
  }

  #request(request: EditorRequest): void {
    this.#api.postMessage(request);
  }

  /** The state that is kept while the view is hidden. */
  get state(): Record<string, unknown> {
    return (this.#api.getState() as Record<string, unknown> | undefined) ?? {};
  }

  set state(state) {
    this.#api.setState(state);
  }

  copy = async (text: string): Promise<void> => {
    if (!(await this.ask<boolean>((id) => ({ type: "copy", text, id })))) throw new Error("not copied");
  };

  whichFiles = (names: string[]) => this.ask<boolean[]>((id) => ({ type: "whichFiles", names, id }));

  openFile = (name: string, line: number) => this.#request({ type: "openFile", name, line });

  codeActions: CodeAction[] = [
    { label: "Apply", title: "Show in a diff what this would change", run: this.#code("apply") },
    { label: "Insert", title: "Insert at the cursor", run: this.#code("insert") },
    { label: "Terminal", title: "Insert in the terminal", languages: SHELLS, run: this.#code("terminal") },
    { label: "New file", title: "Open as a new file", run: this.#code("newFile") },
  ];

  remedies: Remedy[] = [
    { label: "Start Aura", codes: GONE, run: this.#command("aura.startServer") },
    { label: "Set Token", codes: LOCKED, run: this.#command("aura.setToken") },
    { label: "Settings", codes: [...GONE, ...LOCKED, ...STRANGE], run: this.#command("aura.openSettings") },
  ];

  #code(action: Extract<EditorRequest, { type: "code" }>["action"]) {
    return (code: string, language: string) => this.#request({ type: "code", action, code, language });
  }

  #command(command: Extract<EditorRequest, { type: "command" }>["command"]) {
    return () => this.#request({ type: "command", command });
  }
}
