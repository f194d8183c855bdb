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
  workbench = await new Workbench({ settings: { "aura.server.url": aura.url, "chat.disableAIFeatures": false } }).start();
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

test("spike", async () => {
  await workbench.command("Chat: Open Chat");
  await new Promise((r) => setTimeout(r, 5000));
  await picture("open");
  await workbench.page.keyboard.type("@aura /agent short what is this?");
  await picture("typed");
  await workbench.page.keyboard.press("Enter");
  await new Promise((r) => setTimeout(r, 6000));
  await picture("answered");
  console.log(upstream.asked.map(({ messages }) => messages));
  void eventually; void expect; void OLD;
});
