// End-to-end tests around the chat: a late server, a token, an untrusted workspace, the policy, accessibility, network
// access.

import { mkdirSync, mkdtempSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import { afterEach, expect, test } from "vitest";
import { AURA, Aura } from "./aura.js";
import { eventually } from "./eventually.js";
import { axe, CACHE, OLD } from "./install.js";
import { ask, Workbench, type WorkbenchOptions } from "./workbench.js";

const started: (Aura | Workbench)[] = [];

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

async function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

// code-server 4.100 has a terminal only where it can be compiled; it is not built for these tests.
test.skipIf(OLD)("a server that is missing is said, started from the chat in a terminal, and found", async () => {
  const port = await freePort();
  const settings = { "aura.server.url": `http://127.0.0.1:${port}`, "aura.server.command": `${AURA} serve --demo` };
  const workbench = await open({ settings, files: { "aura.toml": "" } });
  const frame = await workbench.chat();
  await frame.getByText("Aura cannot be reached").waitFor();
  expect(await workbench.status).toContain("offline");
  await frame.getByRole("button", { name: "Start Aura" }).click();
  // The folder's files are reported; Aura asks in the terminal whether the folder is trusted.
  await workbench.page.getByText(/workspace has an aura\.toml\. Aura asks in the terminal/).first().waitFor();
  await workbench.page.screenshot({ path: join(CACHE, "pictures", "start-aura.png") });
  await ask(frame, "echo", "there you are");
  await frame.locator(".answer").getByText("there you are").waitFor();
  expect(await workbench.status).toContain("agents");
  // The terminal belongs to the workbench: it ends with it, and the server ends with the terminal.
});

test("a command that would trust any folder that is open is not typed", async () => {
  const settings = { "aura.server.url": `http://127.0.0.1:${await freePort()}`, "aura.server.command": "aura serve --config aura.toml" };
  const workbench = await open({ settings, files: { "aura.toml": "" } });
  await workbench.command("Aura: Start Aura");
  await workbench.page.getByText("'--config aura.toml' in aura.server.command would trust any folder that is open").first().waitFor();
  expect(await workbench.page.locator(".terminal-wrapper").count()).toBe(0);
});

test("a server lost in the middle of an answer is shown, and found again", async () => {
  const first = await aura(["--demo", "--port", "0"]);
  const workbench = await open({ settings: { "aura.server.url": first.url } });
  const frame = await workbench.chat();
  await ask(frame, "long", "go");
  await frame.locator(".answer").last().getByText("All work").first().waitFor();
  await first.stop();
  const answer = frame.locator(".answer").last();
  await answer.locator(".failure").waitFor();
  expect(await answer.locator(".failure").getAttribute("data-code")).toBe("connection_lost");
  await answer.getByText("All work").first().waitFor();
  await aura(["--demo", "--port", String(first.port)]);
  await ask(frame, "echo", "back");
  await frame.locator(".answer").last().getByText("back").waitFor();
});

test("a token is asked for, kept for its server, and taken back", async () => {
  const server = await aura(["--demo", "--port", "0"], { AURA_TOKEN: "s3cret" });
  const workbench = await open({ settings: { "aura.server.url": server.url } });
  const frame = await workbench.chat();
  await frame.getByText("This server requires a token").waitFor();
  expect(await workbench.status).toContain("token");
  await frame.getByRole("button", { name: "Set Token" }).click();
  const input = workbench.page.locator(".quick-input-widget input");
  await input.fill("s3cret");
  await input.press("Enter");
  await ask(frame, "echo", "let me in");
  await frame.locator(".answer").getByText("let me in").waitFor();
  await workbench.command("Aura: Forget Token");
  await eventually(async () => (await workbench.status).includes("token"), "the token is not forgotten");
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
    await ask(chat, "tour", "Show me");
    await chat.getByText("That is all.").waitFor();
    await chat.locator(".answer").last().getByText("tokens in total").waitFor();
    await ask(chat, "fails-midway", "And break");
    await chat.locator(".failure").waitFor();
    expect(await serious(chat)).toEqual([]);
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
