// A real workbench: code-server with our VSIX in Debian's Chromium, with separate folders for each.

import { spawn, type ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { chromium, type BrowserContext, type Frame, type Locator, type Page } from "playwright-core";
import { eventually } from "./eventually.js";
import { ENTRY, EXTENSIONS, NODE } from "./install.js";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

const SETTINGS = {
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "update.mode": "none",
  "extensions.autoUpdate": false,
  "extensions.autoCheckUpdates": false,
  "chat.disableAIFeatures": true,
  "workbench.enableExperiments": false,
  "window.restoreWindows": "all",
  // What is clicked must not move: a pane that grows would carry a button away between its look and its click.
  "workbench.reduceMotion": "on",
};

type Part = "workbench.parts.sidebar" | "workbench.parts.editor";

export interface WorkbenchOptions {
  files?: Record<string, string>;
  settings?: Record<string, unknown>;
  trust?: boolean;
  /** The PATH of the workbench, and so of the extension. */
  path?: string;
  /** A folder with another extension, which may use proposed APIs. */
  beside?: string;
}

export class Workbench {
  readonly sandbox = mkdtempSync(join(tmpdir(), "aura-e2e-"));
  readonly workspace = join(this.sandbox, "workspace");
  url = "";
  log = "";
  page!: Page;
  context!: BrowserContext;
  /** Addresses requested by pages, frames and workers. */
  requests: string[] = [];
  #process: ChildProcess | undefined;
  #files: Record<string, string>;
  #settings: Record<string, unknown>;
  #trust: boolean;
  #path: string;
  #beside: string | undefined;

  constructor({ files = {}, settings = {}, trust = false, path = process.env["PATH"] ?? "", beside }: WorkbenchOptions = {}) {
    this.#path = path;
    this.#beside = beside;
    this.#files = files;
    this.#settings = settings;
    this.#trust = trust;
  }

  async start(): Promise<this> {
    const user = join(this.sandbox, "user");
    const extensions = join(this.sandbox, "extensions");
    const home = join(this.sandbox, "home");
    for (const folder of [this.workspace, home]) mkdirSync(folder, { recursive: true });
    cpSync(EXTENSIONS, extensions, { recursive: true });
    for (const [name, text] of Object.entries({ "notes.txt": "one\ntwo\nthree\n", ...this.#files })) this.write(name, text);
    const trust = this.#trust
      ? { "security.workspace.trust.enabled": true, "security.workspace.trust.startupPrompt": "never" }
      : {};
    // The workbench in a browser keeps its user's settings on the server; machine settings are beside them.
    for (const kind of ["User", "Machine"]) {
      mkdirSync(join(user, kind), { recursive: true });
      writeFileSync(join(user, kind, "settings.json"), JSON.stringify({ ...SETTINGS, ...this.#settings, ...trust }));
    }
    const args = ["--auth", "none", "--bind-addr", "127.0.0.1:0", "--disable-telemetry", "--disable-update-check"];
    args.push("--extensions-dir", extensions, "--user-data-dir", user);
    if (!this.#trust) args.push("--disable-workspace-trust");
    const env = { PATH: this.#path, HOME: home, XDG_CONFIG_HOME: home, XDG_DATA_HOME: home, XDG_CACHE_HOME: home };
    // The workbench would query the marketplace; any other request to another machine is ours.
    Object.assign(env, { EXTENSIONS_GALLERY: JSON.stringify({ serviceUrl: "http://127.0.0.1:9" }) });
    const child = spawn(NODE, [ENTRY, ...args, this.workspace], { env, detached: true });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (this.log += data.toString()));
    const listens = () => /HTTP server listening on (http:\/\/[\d.:]+)/.exec(this.log)?.[1];
    await eventually(() => listens() !== undefined, () => `code-server did not start:\n${this.log}`, 90_000);
    this.url = listens() ?? "";
    return this.browse();
  }

  /** A browser with a fresh profile, at the workbench. */
  async browse(): Promise<this> {
    const profile = mkdtempSync(join(this.sandbox, "profile-"));
    this.context = await chromium.launchPersistentContext(profile, {
      executablePath: CHROMIUM,
      args: FLAGS,
      viewport: { width: 1200, height: 800 },
    });
    this.context.on("request", (request) => this.requests.push(request.url()));
    this.page = this.context.pages()[0] ?? (await this.context.newPage());
    this.page.setDefaultTimeout(60_000);
    const beside = `vscode-remote://${new URL(this.url).host}${this.#beside}`;
    const payload = [["extensionDevelopmentPath", beside], ["enableProposedApi", ""]];
    const query = this.#beside ? { payload: JSON.stringify(payload) } : {};
    await this.page.goto(`${this.url}/?${new URLSearchParams({ folder: this.workspace, ...query })}`);
    await this.ready();
    return this;
  }

  async ready(): Promise<void> {
    await this.page.locator(".statusbar-item").filter({ hasText: "Aura" }).first().waitFor({ timeout: 90_000 });
  }

  write(name: string, text: string): void {
    const path = join(this.workspace, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** Run a command by its title in the palette. */
  async command(title: string): Promise<void> {
    const input = this.page.locator(".quick-input-widget input");
    // The list marks what was typed: before that it has all commands, and its rows get other ones a moment later.
    const marked = this.page.locator(".highlight");
    const row = this.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: title, has: marked }).first();
    // A starting window may close the palette again.
    for (let tries = 0; ; tries++) {
      try {
        await this.page.keyboard.press("F1");
        await input.fill(`>${title}`, { timeout: 10_000 });
        await row.click({ timeout: 10_000 });
        return;
      } catch (error) {
        // No Escape: in a chat it would stop the answer.
        if (tries === 4) throw error;
      }
    }
  }

  /** The frame of a webview that has this, in the whole window or in one of its parts, once VS Code has put it in its place. */
  async frame(selector: string, part?: Part): Promise<Frame> {
    let found: Frame | undefined;
    await eventually(
      async () => {
        for (const frame of this.page.frames()) {
          const there = await frame.locator(selector).first().isVisible().catch(() => false); // prettier-ignore
          if (there && (await this.#lies(frame, part))) found = frame;
        }
        return found !== undefined;
      },
      () => `no frame ${part ? `in ${part} ` : ""}has ${selector}; there are ${this.page.frames().map((frame) => frame.url()).join(" ")}`,
    );
    return found as Frame;
  }

  /**
   * Whether a webview's frame lies still, over this part of the window; neither its address nor its parents say where it
   * is. VS Code moves it after its place, and a click in a frame that moves is lost.
   */
  async #lies(frame: Frame, part?: Part): Promise<boolean> {
    const element = await frame.parentFrame()?.frameElement().catch(() => undefined); // prettier-ignore
    const place = () => element?.boundingBox().catch(() => null);
    const before = await place();
    await this.page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    const inner = await place();
    if (!before || !inner || JSON.stringify(before) !== JSON.stringify(inner)) return false;
    const outer = part ? await this.page.locator(`[id="${part}"]`).boundingBox() : { x: 0, width: Infinity };
    return outer !== null && inner.x >= outer.x - 1 && inner.x + inner.width <= outer.x + outer.width + 1;
  }

  /** The chat in the side bar; a tab that was closed a moment before a reload may be there again beside it. */
  async chat(): Promise<Frame> {
    await this.command("Aura: Focus on Chat View");
    return this.frame(".composer textarea", "workbench.parts.sidebar");
  }

  /** Close the front tab as a user does. */
  async closeTab(): Promise<void> {
    const tab = this.page.locator(".tab.active");
    await tab.hover();
    await tab.locator(".tab-actions a").click();
  }

  /** Close all tabs; one that is not saved yet would ask first. */
  async closeTabs(): Promise<void> {
    const left = (selector: string) => eventually(async () => (await this.page.locator(selector).count()) === 0, `there is still a ${selector}`);
    await left(".tab.dirty");
    await this.command("View: Close All Editors");
    await left(".tab");
  }

  /** Wait until this window's layout, as it is now, would come back after a reload; VS Code writes it every 5 s. */
  async layoutKept(part: string): Promise<void> {
    const kept = (text: string) =>
      this.page.evaluate(async (text) => {
        const opened = <T>(request: IDBRequest<T>) =>
          new Promise<T>((resolve, reject) => {
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          });
        for (const { name } of await indexedDB.databases()) {
          if (!name?.startsWith("vscode-web-state-db-")) continue;
          const database = await opened(indexedDB.open(name));
          // Other entries name tabs that were open earlier.
          const layout = await opened(database.transaction("ItemTable").objectStore("ItemTable").get("memento/workbench.parts.editor"));
          database.close();
          if (JSON.stringify(layout ?? "").includes(text)) return true;
        }
        return false;
      }, text);
    await eventually(() => kept(part), `the layout with ${part} was not kept`);
  }

  /** Wait until the status bar has this; it learns of a change a moment after the chat. */
  async says(text: string, timeout = 60_000): Promise<void> {
    await this.page.locator(".statusbar-item").filter({ hasText: "Aura" }).filter({ hasText: text }).first().waitFor({ timeout });
  }

  /** Kill the browser, as a power cut would. */
  async killBrowser(): Promise<void> {
    const browser = this.context.browser();
    const pid = await browserPid(this.sandbox);
    for (const id of pid) process.kill(id, "SIGKILL");
    await browser?.close().catch(() => {});
  }

  async stop(): Promise<void> {
    await this.context?.close().catch(() => {});
    const { pid } = this.#process ?? {};
    if (pid) {
      const gone = new Promise((done) => this.#process?.once("exit", done));
      process.kill(-pid, "SIGKILL");
      await gone;
    }
    rmSync(this.sandbox, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The processes of the browser whose profile is in this folder. */
async function browserPid(folder: string): Promise<number[]> {
  const { readdirSync, readFileSync } = await import("node:fs");
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((id) => {
      try {
        return readFileSync(`/proc/${id}/cmdline`, "utf8").includes(`--user-data-dir=${folder}`);
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** Choose an agent and send a message. Returns its answer, which may begin a moment later. */
export async function ask(frame: Frame, agent: string, text: string): Promise<Locator> {
  await eventually(async () => (await frame.locator(`option[value="${agent}"]`).count()) > 0, `there is no agent ${agent}`);
  await frame.getByLabel("Agent", { exact: true }).selectOption(agent);
  const answers = frame.locator(".answer");
  const before = await answers.count();
  await frame.getByLabel("Message").fill(text);
  await frame.getByRole("button", { name: "Send" }).click();
  return answers.nth(before);
}
