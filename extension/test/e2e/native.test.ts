// End-to-end tests of VS Code's own Chat view: the participant @aura, and the agents in the model picker.

import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { agents, Aura, Upstream } from "./aura.js";
import { eventually } from "./eventually.js";
import { CACHE, OLD } from "./install.js";
import { Workbench } from "./workbench.js";

const folder = mkdtempSync(join(tmpdir(), "aura-e2e-server-"));
const upstream = new Upstream();
const aura = new Aura();
let workbench: Workbench;

beforeAll(async () => {
  await upstream.start();
  await aura.start(agents(folder, upstream), folder);
  const settings = { "aura.server.url": aura.url, "chat.disableAIFeatures": false, "chat.agent.enabled": false };
  // 1.100 has a Chat view only with Copilot; a silent extension stands in for it.
  const beside = join(import.meta.dirname, "chatView");
  workbench = await new Workbench({ settings, ...(OLD ? { beside } : {}) }).start();
});

afterAll(async () => {
  await workbench?.stop();
  await aura.stop();
  await upstream.stop();
});

async function picture(name: string): Promise<void> {
  mkdirSync(join(CACHE, "pictures"), { recursive: true });
  await workbench.page.screenshot({ path: join(CACHE, "pictures", `native-${name}.png`) });
}

const input = () => workbench.page.locator(".interactive-input-part .monaco-editor").first();
const answer = () => workbench.page.locator(".interactive-response").last();

async function say(text: string): Promise<void> {
  const { page } = workbench;
  await eventually(async () => (await page.locator(".chat-response-loading").count()) === 0, "the answer before does not end");
  await input().click();
  await page.locator(".interactive-input-part .monaco-editor.focused").first().waitFor();
  await page.keyboard.type(text);
  const typed = async () => (await input().locator(".view-lines").innerText()).replaceAll("\u00a0", " ").endsWith(text);
  await eventually(typed, `${text} was not typed`);
  // Enter does nothing while VS Code ends the answer before.
  for (let tries = 1; await typed(); tries++) {
    await page.keyboard.press("Enter");
    const asked = eventually(async () => !(await typed()), `${text} was not asked`, 10_000);
    await (tries < 5 ? asked.catch(() => {}) : asked);
  }
}

test("@aura asks the agent that /agent names, and remembers it and what was said", async () => {
  await workbench.command("Chat: Open Chat");
  await say("@aura /agent short what is this?");
  await answer().getByText("word5").waitFor();
  await say("and that?");
  await eventually(() => upstream.asked.length === 2, "nothing was asked");
  const asked = upstream.asked[1];
  expect(asked?.model).toBe("short");
  expect(asked?.messages.map(({ role, content }) => [role, content.trim()])).toEqual([
    ["user", "what is this?"],
    ["assistant", "word1 word2 word3 word4 word5"],
    ["user", "and that?"],
  ]);
  await answer().getByText("word5").waitFor();
  await say("/agent ghost x");
  await answer().getByText("The server has no agent").waitFor();
  await picture("participant");
});

// The host has models of extensions since 1.104.
// They answer there only for somebody who is signed in to Copilot: what an agent answers as a model is a unit test.
test.skipIf(OLD)("an agent stands in the model picker, and is the model while nobody has chosen one", async () => {
  await workbench.page.locator(".interactive-input-part").getByText("breaks", { exact: true }).first().waitFor();
});
