// End-to-end tests around the chat: a late server, a token, an untrusted workspace, the policy, accessibility, network
// access.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { AURA, Aura } from "./aura.js";
import { eventually } from "./eventually.js";
import { axe, CACHE, OLD } from "./install.js";
import { ThroughProxy } from "./throughProxy.js";
import { ask, Workbench, type WorkbenchOptions } from "./workbench.js";

const started: (Aura | Workbench | ThroughProxy)[] = [];

afterEach(async () => {
  for (const one of started.splice(0).reverse()) await one.stop();
});

async function aura(args: string[], environment: Record<string, string> = {}): Promise<Aura> {
  const one = new Aura();
  started.push(one);
  return one.start(args, mkdtempSync(join(tmpdir(), "aura-e2e-server-")), environment);
}

async function open(options: WorkbenchOptions): Promise<Workbench> {
  const one = new Workbench(options);
  started.push(one);
  return one.start();
}

/** A port that answers nobody, and nobody else gets, until it is given back. */
async function reservedPort(): Promise<{ port: number; giveBack: () => Promise<void> }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const giveBack = () => new Promise<void>((closed) => server.close(() => closed()));
  return { port: (server.address() as { port: number }).port, giveBack };
}

// code-server 4.100 has a terminal only where it can be compiled; it is not built for these tests.
test.skipIf(OLD)("a server that is missing is said, started from the chat in a terminal, and found", async () => {
  const { port, giveBack } = await reservedPort();
  const settings = { "aura.server.url": `http://127.0.0.1:${port}`, "aura.server.command": `${AURA} serve --demo` };
  const workbench = await open({ settings, files: { "aura.toml": "" } });
  const frame = await workbench.chat();
  await frame.getByText("Aura cannot be reached").waitFor();
  await workbench.says("offline");
  await giveBack();
  await frame.getByRole("button", { name: "Start Aura" }).click();
  // The folder's files are reported; Aura asks in the terminal whether the folder is trusted.
  await workbench.page.getByText(/workspace has an aura\.toml\. Aura asks in the terminal/).first().waitFor();
  await workbench.page.screenshot({ path: join(CACHE, "pictures", "start-aura.png") });
  await ask(frame, "echo", "there you are");
  await frame.locator(".answer").getByText("there you are").waitFor();
  await workbench.says("agents");
  // The terminal belongs to the workbench: it ends with it, and the server ends with the terminal.
});

/** A folder with agents, of which the alphabet's first is not the server's. */
function folderWithAgents(): string {
  const folder = mkdtempSync(join(tmpdir(), "aura-e2e-agents-"));
  for (const name of ["aaa", "assistant"]) writeFileSync(join(folder, `${name}.md`), "---\nprovider: echo\n---\n");
  return folder;
}

/** The elements that can be used and are cut off, by their text. */
function cut(frame: Frame): Promise<string[]> {
  return frame.evaluate(() =>
    [...document.querySelectorAll("button, select, textarea, h1, p")]
      .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest(".status, .unseen"))
      .filter((element) => {
        const { left, right } = element.getBoundingClientRect();
        return left < 0 || right > innerWidth + 1 || (element.tagName !== "SELECT" && element.scrollWidth > element.clientWidth + 1);
      })
      .map((element) => element.outerHTML.slice(0, 200)),
  );
}

/** Nothing is cut off, once the window has its new width. */
async function nothingIsCut(frame: Frame): Promise<void> {
  let left: string[] = [];
  await eventually(async () => (left = await cut(frame)).length === 0, () => `cut off: ${left.join("\n")}`, 20_000);
}

test("the first five minutes: aura is missing, the side bar is narrow, and the settings can be changed", async () => {
  const { port, giveBack } = await reservedPort();
  const workbench = await open({ settings: { "aura.server.url": `http://127.0.0.1:${port}` }, path: "/usr/bin:/bin" });
  const { page } = workbench;
  const chat = await workbench.chat();
  await chat.getByText("Aura cannot be reached").waitFor();
  expect(await chat.locator(".welcome .primary").innerText()).toBe("Start Aura");
  // code-server is a remote window: the server is not on the machine with the window.
  await chat.getByText(/Aura is looked for at http:\/\/127\.0\.0\.1:\d+ on the remote machine/).waitFor();
  // The border of the side bar, as far left as VS Code lets it.
  await eventually(async () => {
    const bar = await page.locator("#workbench\\.parts\\.sidebar").boundingBox();
    await page.mouse.move((bar?.x ?? 0) + (bar?.width ?? 0), 400);
    await page.mouse.down();
    await page.mouse.move((bar?.x ?? 0) + 172, 400, { steps: 4 });
    await page.mouse.up();
    await workbench.frame(".composer textarea", "workbench.parts.sidebar"); // it lies still
    return (await chat.evaluate(() => innerWidth)) <= 172;
  }, "the side bar is not narrow");
  await nothingIsCut(chat);
  mkdirSync(join(CACHE, "pictures"), { recursive: true });
  await page.screenshot({ path: join(CACHE, "pictures", "narrow-offline.png") });
  await chat.getByRole("button", { name: "Start Aura" }).click();
  await page.getByText(/The program 'aura' is neither in the active Python environment nor on the PATH/).first().waitFor();
  expect(await page.locator(".terminal-wrapper").count()).toBe(0);
  await page.getByRole("button", { name: "How to Install" }).click();
  await workbench.frame("#install-aura");
  await giveBack();
  await aura(["--agents", folderWithAgents(), "--port", String(port)]);
  await eventually(async () => (await chat.getByLabel("Agent", { exact: true }).inputValue()) === "assistant", "the server's agent is not chosen");
  await (await ask(chat, "aaa", "Hello `code`")).getByText("tokens in total").waitFor();
  const tops = await chat.evaluate(() =>
    ["header select", "header .actions button", "header .actions button:last-child"].map((one) => {
      const { top, height } = (document.querySelector(one) as HTMLElement).getBoundingClientRect();
      return top + height / 2;
    }),
  );
  expect(Math.max(...tops) - Math.min(...tops)).toBeLessThan(4);
  await nothingIsCut(chat);
  await page.screenshot({ path: join(CACHE, "pictures", "narrow.png") });
  await chat.getByLabel("Message").press("Control+f");
  const search = chat.getByLabel("Find in this chat");
  await search.waitFor();
  expect((await search.boundingBox())?.width).toBeGreaterThan(100);
  await nothingIsCut(chat);
  await search.press("Escape");
  // The agent that was asked last is chosen in a new window.
  await page.reload();
  await workbench.ready();
  const again = await workbench.chat();
  await again.getByRole("button", { name: "New chat" }).click();
  await eventually(async () => (await again.getByLabel("Agent", { exact: true }).inputValue()) === "aaa", "the last used agent is not chosen");
  await workbench.command("Aura: Open Settings");
  const setting = page.locator(".settings-editor").getByText("Server: Command");
  await setting.waitFor();
});

test("a command that would trust any folder that is open is not typed", async () => {
  const settings = { "aura.server.url": `http://127.0.0.1:${(await reservedPort()).port}`, "aura.server.command": "aura serve --config aura.toml" };
  const workbench = await open({ settings, files: { "aura.toml": "" } });
  await workbench.command("Aura: Start Aura");
  await workbench.page.getByText("'--config aura.toml' in aura.server.command would trust any folder that is open").first().waitFor();
  expect(await workbench.page.locator(".terminal-wrapper").count()).toBe(0);
});

test("a server lost in the middle of an answer is shown, and found again", async () => {
  const first = await aura(["--demo", "--port", "0"]);
  const workbench = await open({ settings: { "aura.server.url": first.url } });
  const frame = await workbench.chat();
  const answer = await ask(frame, "long", "go");
  await answer.getByText("All work").first().waitFor();
  await first.stop();
  await answer.locator(".failure").waitFor();
  expect(await answer.locator(".failure").getAttribute("data-code")).toBe("connection_lost");
  // The failed turn is what it learns from: the next look at the server would be half a minute later.
  await answer.locator(".failure").getByRole("button", { name: "Start Aura" }).waitFor();
  await workbench.says("offline", 20_000);
  await answer.getByText("All work").first().waitFor();
  await aura(["--demo", "--port", String(first.port)]);
  await (await ask(frame, "echo", "back")).getByText("back").waitFor();
});

test("a token is asked for, kept for its server, and taken back", async () => {
  const server = await aura(["--demo", "--port", "0"], { AURA_TOKEN: "s3cret" });
  const workbench = await open({ settings: { "aura.server.url": server.url } });
  // Unfolded before anything is clicked in the chat above it.
  await workbench.command("Aura: Focus on Agents View");
  const frame = await workbench.chat();
  await frame.getByText("This server requires a token").waitFor();
  await workbench.says("token");
  await frame.getByRole("button", { name: "Set Token" }).click();
  const input = workbench.page.locator(".quick-input-widget input");
  await input.fill("s3cret");
  await input.press("Enter");
  await ask(frame, "echo", "let me in");
  await frame.locator(".answer").getByText("let me in").waitFor();
  // The server gets another token: the failure says so, and offers to set it.
  await server.stop();
  await aura(["--demo", "--port", String(server.port)], { AURA_TOKEN: "other" });
  await frame.getByLabel("Message").fill("once more");
  await frame.getByRole("button", { name: "Send" }).click();
  const failure = frame.locator(".answer").last().locator(".failure");
  await failure.getByText("The server does not accept this token").waitFor();
  await workbench.says("wrong token", 20_000);
  await workbench.page.getByText("This server does not accept the token that is stored for it.").waitFor();
  // Not again below it: there is only where the server is.
  await frame.locator(".agent-error").getByText(/^Aura is looked for at/).waitFor();
  expect(await frame.getByRole("button", { name: "Set Token" }).count()).toBe(1);
  await failure.getByRole("button", { name: "Set Token" }).click();
  await input.fill("other");
  await input.press("Enter");
  await workbench.says("agents");
  await workbench.command("Aura: Forget Token");
  await workbench.says("token");
});

test("VS Code's proxy is used, and its setting for certificates that nobody vouches for", async () => {
  const server = await aura(["--demo", "--port", "0"]);
  const proxy = await new ThroughProxy().start(server.port);
  started.push(proxy);
  const settings = { "aura.server.url": "https://aura.test", "http.proxy": proxy.url, "http.proxyStrictSSL": false };
  const workbench = await open({ settings });
  const chat = await workbench.chat();
  await ask(chat, "echo", "through the proxy");
  await chat.locator(".answer").getByText("through the proxy").waitFor();
  await chat.locator(".answer").getByText("tokens in total").waitFor();
  expect(proxy.asked).toContain("aura.test:443");
});

test("in an untrusted workspace chatting works, but nothing is started and no workflow runs", async () => {
  const server = await aura(["--demo", "--port", "0"]);
  const workbench = await open({
    trust: true,
    files: { ".aura/workflows/one.yaml": "steps:\n  - {agent: echo, prompt: Go}\n" },
    settings: { "aura.server.url": server.url },
  });
  const frame = await workbench.chat();
  await ask(frame, "echo", "still here");
  await frame.locator(".answer").getByText("still here").waitFor();
  await workbench.command("Aura: Open Workflow");
  await workbench.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: "one.yaml" }).first().click();
  const panel = await workbench.frame(".steps .step");
  await panel.getByText("Workflows do not run in a workspace that you do not trust.").waitFor();
  expect(await panel.getByRole("button", { name: "Run all" }).isDisabled()).toBe(true);
  expect(await panel.getByRole("button", { name: "Run this step" }).isDisabled()).toBe(true);
  await workbench.command("Aura: Start Aura");
  await workbench.page.getByText("Aura does not start a server in a workspace that you do not trust.").first().waitFor();
  expect(await workbench.page.locator(".terminal-wrapper").count()).toBe(0);
});

test("the tree lists the agents, and chats with the one that is chosen", async () => {
  const server = await aura(["--demo", "--port", "0"]);
  const workbench = await open({ settings: { "aura.server.url": server.url } });
  await workbench.command("Aura: Focus on Agents View");
  await workbench.page.getByRole("treeitem", { name: /^Cut by length/ }).click();
  const frame = await workbench.frame(".composer textarea");
  await eventually(async () => (await frame.getByLabel("Agent", { exact: true }).inputValue()) === "cut", "it is not chosen");
});

/** What axe finds that would keep somebody out. */
async function serious(frame: Frame): Promise<string[]> {
  await frame.evaluate(axe());
  return frame.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string }[] }[] }> } };
    const { violations } = await axe.run();
    const bad = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
    return bad.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  });
}

const TOKENS = ["comment", "keyword", "string", "number", "type", "function", "variable", "added", "removed"];

/** The contrast of each of these colours with the ground of an element; axe sees only what has elements and is shown now. */
function contrasts(frame: Frame, element: string, colours: string[]): Promise<[string, number][]> {
  return frame.evaluate(([element, colours]) => {
    const block = document.querySelector(element) as HTMLElement;
    const grounds = [getComputedStyle(block).getPropertyValue("--vscode-sideBar-background")];
    const above: Element[] = [];
    for (let element: Element | null = block; element; element = element.parentElement) above.unshift(element);
    grounds.push(...above.map((element) => getComputedStyle(element).backgroundColor));
    const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D;
    const luminance = (colours: string[]) => {
      context.clearRect(0, 0, 1, 1);
      for (const colour of colours) {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
      }
      const [red = 0, green = 0, blue = 0] = [...context.getImageData(0, 0, 1, 1).data]
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const word = block.appendChild(document.createElement("span"));
    const found = colours.map((colour): [string, number] => {
      word.style.setProperty("color", `var(--${colour})`);
      const [dark = 0, light = 0] = [luminance(grounds), luminance([...grounds, getComputedStyle(word).color])].sort((a, b) => a - b);
      return [colour, (light + 0.05) / (dark + 0.05)];
    });
    word.remove();
    return found;
  }, [element, colours] as const);
}

test.each(["Default Dark Modern", "Default Light Modern", "Default High Contrast", "Default High Contrast Light"])(
  "in %s the views are accessible, their policy has nothing unsafe, and no other host is asked",
  async (theme) => {
    const server = await aura(["--demo", "--port", "0"]);
    const workbench = await open({
      files: {
        ".aura/workflows/two.yaml":
          "name: Two\nsteps:\n  - {name: Look round, agent: tour, prompt: Go}\n  - {name: Break, agent: fails-midway, prompt: Go}\n",
      },
      settings: { "aura.server.url": server.url, "workbench.colorTheme": theme },
    });
    const pictures = join(CACHE, "pictures");
    mkdirSync(pictures, { recursive: true });
    const picture = (name: string) => workbench.page.screenshot({ path: join(pictures, `${theme.replaceAll(" ", "-")}-${name}.png`) });
    const refused: string[] = [];
    workbench.page.on("console", (message) => {
      if (message.text().includes("Content Security Policy")) refused.push(message.text());
    });

    const chat = await workbench.chat();
    const shown = await ask(chat, "tour", "Show me");
    await shown.getByText("That is all.").waitFor();
    await shown.getByText("tokens in total").waitFor();
    await (await ask(chat, "fails-midway", "And break")).locator(".failure").waitFor();
    expect(await serious(chat)).toEqual([]);
    const tokens = TOKENS.map((kind) => `token-${kind}`);
    const found = [...(await contrasts(chat, ".answer pre code", tokens)), ...(await contrasts(chat, ".foot", ["bad"]))];
    expect(found.filter(([, contrast]) => !(contrast >= 4.5))).toEqual([]);
    await picture("chat");

    await workbench.command("Aura: Open Workflow");
    await workbench.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: "two.yaml" }).first().click();
    const panel = await workbench.frame(".steps .step");
    await panel.getByRole("button", { name: "Run all" }).click();
    await eventually(async () => (await panel.locator('.step[data-state="failed"]').count()) === 1, "no step fails");
    expect(await serious(panel)).toEqual([]);
    await picture("workflow");

    for (const frame of [chat, panel]) {
      const policy = (await frame.locator('meta[http-equiv="Content-Security-Policy"]').getAttribute("content")) ?? "";
      expect(policy).toMatch(/^default-src 'none'; script-src 'nonce-[\w-]+'; style-src [^;]+; base-uri 'none'; form-action 'none'$/);
      expect(policy).not.toContain("unsafe");
    }
    expect(refused.filter((text) => text.includes("aura.aura"))).toEqual([]);
    const hosts = new Set(workbench.requests.filter((url) => /^(http|ws)/.test(url)).map((url) => new URL(url).hostname));
    // VS Code's name for the extension's own files; its service worker answers, and nothing leaves the browser.
    expect([...hosts].filter((host) => !host.endsWith(".vscode-resource.vscode-cdn.net"))).toEqual(["127.0.0.1"]);
  },
);
