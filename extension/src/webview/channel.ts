// The webview's side of the channel to the extension host.

import type { CodeAction, Remedy } from "../../../aura_core/web/host-types.js";
import type { Reply, EditorRequest } from "./messages.js";

interface Api {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare function acquireVsCodeApi(): Api;

export class Channel<From, To extends { type: string }> {
  #api = acquireVsCodeApi();
  #copies = new Map<number, (ok: boolean) => void>();

  constructor(receive: (message: Exclude<To, Reply>) => void) {
    addEventListener("message", ({ data }: MessageEvent<To | Reply>) => {
      const reply = data as Reply;
      if (reply.type === "ping") this.#request({ type: "beat" });
      else if (reply.type === "copied") this.#copies.get(reply.id)?.(reply.ok);
      else receive(data as Exclude<To, Reply>);
    });
  }

  post(message: From | EditorRequest): void {
    this.#api.postMessage(message);
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

  copy = (text: string): Promise<void> => {
    const id = this.#copies.size;
    this.#request({ type: "copy", text, id });
    return new Promise((resolve, reject) => {
      this.#copies.set(id, (ok) => (ok ? resolve() : reject(new Error("not copied"))));
    });
  };

  codeActions: CodeAction[] = [
    { label: "Insert", run: (code, language) => this.#request({ type: "code", action: "insert", code, language }) },
    { label: "New file", run: (code, language) => this.#request({ type: "code", action: "newFile", code, language }) },
  ];

  remedies: Remedy[] = [
    { label: "Start Aura", run: () => this.#request({ type: "command", command: "aura.startServer" }) },
    { label: "Set Token", run: () => this.#request({ type: "command", command: "aura.setToken" }) },
    { label: "Settings", run: () => this.#request({ type: "command", command: "aura.openSettings" }) },
  ];
}
