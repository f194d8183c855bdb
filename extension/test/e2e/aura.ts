// A real Aura server in a separate process, and an upstream that speaks Ollama's NDJSON and detects hang-ups.

import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { eventually } from "./eventually.js";

const REPOSITORY = resolve(import.meta.dirname, "../../..");
export const AURA = process.env["AURA"] ?? join(REPOSITORY, ".venv", "bin", "aura");

export class Aura {
  url = "";
  port = 0;
  log = "";
  #process: ChildProcess | undefined;
  #gone: Promise<unknown> = Promise.resolve();

  async start(args: string[], cwd: string, environment: Record<string, string> = {}): Promise<this> {
    const child = spawn(AURA, ["serve", ...args], { cwd, env: { ...process.env, AURA_TOKEN: "", ...environment } });
    this.#process = child;
    this.#gone = new Promise((done) => child.once("exit", done));
    child.stderr.on("data", (data: Buffer) => (this.log += data.toString()));
    await eventually(() => /serves at (\S+)/.test(this.log), () => `aura did not start:\n${this.log}`);
    this.url = /serves at (\S+)/.exec(this.log)?.[1] ?? "";
    this.port = Number(new URL(this.url).port);
    return this;
  }

  async stop(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#gone;
  }
}

/** Streams a word every 50 ms until it ends, is cut off or hung up on; the model's name selects the behaviour. */
export class Upstream {
  port = 0;
  /** Received requests, and those whose client hung up before the end. */
  asked: { model: string; messages: { role: string; content: string }[] }[] = [];
  closed = 0;
  /** What the model `script` answers. */
  says = "";
  /** Whether the model `short` does not end its answers, until this is false again. */
  holds = false;
  #server: Server | undefined;
  #open = new Set<ServerResponse>();

  async start(): Promise<this> {
    this.#server = createServer((request, response) => {
      let body = "";
      request.on("data", (data: Buffer) => (body += data.toString()));
      request.on("end", () => {
        if (request.url !== "/api/chat") return void response.end('{"version": "0.12.0", "models": []}');
        const asked = JSON.parse(body) as (typeof this.asked)[number];
        this.asked.push(asked);
        this.#answer(asked.model, response);
      });
    });
    await new Promise<void>((listening) => this.#server?.listen(0, "127.0.0.1", listening));
    this.port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  #answer(model: string, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    if (model === "script") {
      const message = { role: "assistant", content: this.says };
      response.end(`${JSON.stringify({ model, message, done: true, done_reason: "stop", eval_count: 5 })}\n`);
      return;
    }
    this.#open.add(response);
    let words = 0;
    const timer = setInterval(() => {
      if (model === "short" && words === 5) {
        if (this.holds) return;
        response.end(`${JSON.stringify({ model, message: { content: "" }, done: true, done_reason: "stop", eval_count: 5 })}\n`);
        return;
      }
      words++;
      response.write(`${JSON.stringify({ model, message: { role: "assistant", content: `word${words} ` }, done: false })}\n`);
    }, 50);
    response.on("close", () => {
      clearInterval(timer);
      this.#open.delete(response);
      if (!response.writableFinished && model !== "breaks") this.closed++;
    });
  }

  /** Cut off the running answers. */
  cut(): void {
    for (const response of this.#open) response.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((done) => this.#server?.close(done));
  }

  get open(): number {
    return this.#open.size;
  }
}

/** A folder with the demo agents, and Ollama agents that use the upstream. */
export function agents(folder: string, upstream: Upstream): string[] {
  const into = join(folder, "agents");
  mkdirSync(into, { recursive: true });
  cpSync(join(REPOSITORY, "aura_core", "demo"), into, { recursive: true });
  for (const model of ["endless", "short", "breaks", "script"]) {
    writeFileSync(join(into, `${model}.md`), `---\nname: ${model}\nprovider: ollama\nmodel: ${model}\n---\n`);
  }
  // `backup` is the second instance that one of the demo agents falls back to.
  const toml = `[providers.ollama]\nbase_url = "http://127.0.0.1:${upstream.port}"\n\n[providers.backup]\nplugin = "echo"\n`;
  writeFileSync(join(folder, "aura.toml"), toml);
  return ["--config", join(folder, "aura.toml"), "--agents", into, "--port", "0"];
}
