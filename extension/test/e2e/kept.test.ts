// End-to-end tests of storage: over reloads, in two windows, in a damaged or an unusable folder, edited, renamed,
// deleted and brought back.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { agents, Aura, Upstream } from "./aura.js";
import { eventually } from "./eventually.js";
import { CACHE } from "./install.js";
import { ask, Workbench } from "./workbench.js";

const folder = mkdtempSync(join(tmpdir(), "aura-e2e-server-"));
const upstream = new Upstream();
const aura = new Aura();
let workbench: Workbench;

beforeAll(async () => {
  await upstream.start();
  await aura.start(agents(folder, upstream), folder);
  workbench = await new Workbench({ settings: { "aura.server.url": aura.url } }).start();
});

afterAll(async () => {
  await workbench?.stop();
  await aura.stop();
  await upstream.stop();
});

afterEach(async () => {
  upstream.cut();
  await eventually(() => upstream.open === 0, "an answer runs on after its test");
  upstream.closed = 0;
});

async function picture(name: string): Promise<void> {
  mkdirSync(join(CACHE, "pictures"), { recursive: true });
  await workbench.page.screenshot({ path: join(CACHE, "pictures", `kept-${name}.png`) });
}

/** A chat with this question, answered, in the side bar. */
async function asked(text: string): Promise<Frame> {
  const frame = await fresh();
  await say(frame, text);
  return frame;
}

/** A new chat in the side bar. */
async function fresh(): Promise<Frame> {
  const frame = await workbench.chat();
  // A click closes the list; a click on another element waits for that.
  await frame.locator("#aura-chats").evaluate((list: HTMLElement) => list.hidePopover());
  await frame.getByRole("button", { name: "New chat" }).click();
  await eventually(async () => (await frame.locator(".question").count()) === 0, "there is no new chat");
  return frame;
}

async function say(frame: Frame, text: string): Promise<void> {
  await (await ask(frame, "short", text)).getByText("5 tokens in total").waitFor();
}

/** Open the list of chats, and there this chat's further actions. */
async function more(frame: Frame, title: string): Promise<void> {
  if (!(await frame.locator("#aura-chats").isVisible())) await frame.getByRole("button", { name: "Chats", exact: true }).click();
  await frame.getByRole("button", { name: `More for ${title}`, exact: true }).click();
}

async function reload(): Promise<Frame> {
  await workbench.page.reload();
  await workbench.ready();
  return workbench.chat();
}

const tab = (title: string) => workbench.page.locator(".tab").filter({ hasText: title });

test("an editor tab has its chat's title, also after a rename", async () => {
  const frame = await asked("What is a tab called?");
  await workbench.command("Aura: Open Chat in Editor");
  await tab("What is a tab called?").waitFor();
  await workbench.frame(".answer", "workbench.parts.editor");
  await more(frame, "What is a tab called?");
  await frame.getByRole("button", { name: "Rename What is a tab called?" }).click();
  await frame.getByLabel("Name of the chat").fill("Names of tabs");
  await frame.getByLabel("Name of the chat").press("Enter");
  await tab("Names of tabs").waitFor();
  await picture("tab");
  await workbench.closeTab();
});

test("a draft survives a reload of the window", async () => {
  const frame = await asked("A question with a draft");
  await frame.getByLabel("Message").fill("half a thou");
  await frame.getByLabel("Message").press("End");
  await frame.getByLabel("Message").pressSequentially("ght");
  await eventually(() => kept().some((text) => text === "half a thought"), "the draft is not kept");
  const again = await reload();
  await again.locator(".question").getByText("A question with a draft").waitFor();
  await eventually(async () => (await again.getByLabel("Message").inputValue()) === "half a thought", "the draft is not shown");
  await again.getByLabel("Message").fill("");
});

test("asked again, an answer stays as another version, and so does an edited question, over a reload, too", async () => {
  const frame = await asked("First wording");
  await frame.locator(".answer").last().getByRole("button", { name: "Ask again" }).click();
  await frame.getByText("2 of 2", { exact: true }).waitFor();
  await frame.locator(".answer").last().getByText("5 tokens in total").waitFor();
  await frame.getByRole("button", { name: "Edit", exact: true }).click();
  await frame.getByLabel("Message").fill("Second wording");
  await frame.getByRole("button", { name: "Send" }).click();
  await frame.getByText("3 of 3", { exact: true }).waitFor();
  await frame.locator(".answer").last().getByText("5 tokens in total").waitFor();
  await picture("versions");
  const again = await reload();
  await again.getByText("3 of 3", { exact: true }).waitFor();
  await again.getByRole("button", { name: "Earlier version" }).click();
  await again.getByText("2 of 3", { exact: true }).waitFor();
  const questions = async () => (await again.locator(".question").allInnerTexts()).join();
  await eventually(async () => (await questions()) === "First wording", "another version's question is shown");
});

test("an interrupted answer can be continued", async () => {
  const frame = await fresh();
  await (await ask(frame, "breaks", "Begin")).getByText("word3").waitFor();
  upstream.cut();
  await frame.locator(".failure").getByRole("button", { name: "Continue" }).click();
  await frame.locator(".question").getByText("Continue where you stopped.").waitFor();
  // A provider that hangs up before its first word is asked again.
  await frame.locator(".answer").nth(1).getByText("word1").waitFor();
  const said = upstream.asked.at(-1)?.messages.map(({ role }) => role);
  expect(said?.slice(-3)).toEqual(["user", "assistant", "user"]);
});

test("a chat is found by its text, exported, deleted and restored", async () => {
  const frame = await asked("Where do walruses live?");
  await say(frame, "And narwhals, too?");
  await asked("Something else");
  await frame.getByRole("button", { name: "Chats", exact: true }).click();
  await frame.getByLabel("Search chats").fill("NARWHAL");
  await eventually(async () => (await frame.locator("#aura-chats li").count()) === 1, "the search does not find one");
  await frame.getByRole("button", { name: "More for Where do walruses live?" }).click();
  await picture("search");
  for (const [kind, ending] of [["Markdown", "md"], ["JSON", "json"]] as const) {
    await frame.getByRole("button", { name: `Export as ${kind} Where do walruses live?` }).click();
    const input = workbench.page.locator(".quick-input-widget input[type=text]");
    await input.waitFor();
    // The dialog fills in its suggestion after it has read the folder; text typed before that is lost.
    await eventually(async () => (await input.inputValue()).endsWith(`.${ending}`), "the dialog suggests no name");
    const path = join(workbench.workspace, `export.${ending}`);
    await input.fill(path);
    await input.press("Enter");
    await eventually(() => existsSync(path) && readFileSync(path, "utf8").includes("narwhals"), `there is no ${path}`);
    if (ending === "md") expect(readFileSync(path, "utf8")).toMatch(/^# Where do walruses live\?/);
    else expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ chats: [{ title: "Where do walruses live?" }] });
  }
  await frame.getByRole("button", { name: "Delete Where do walruses live?" }).click();
  await frame.getByText("Deleted: Where do walruses live?").waitFor();
  await picture("deleted");
  await frame.getByRole("button", { name: "Undo: restore Where do walruses live?" }).click();
  await frame.getByRole("button", { name: /^Where do walruses live\?/ }).waitFor();
  // A window that is reloaded at once loses the last messages of its webview.
  await eventually(() => kept().some((text) => /"deleted":0\b/.test(text)), "the chat is not kept as restored");
  const again = await reload();
  await again.getByRole("button", { name: "Chats", exact: true }).click();
  await again.getByRole("button", { name: /^Where do walruses live\?/ }).click();
  await again.locator(".question").getByText("And narwhals, too?").waitFor();
});

test("two windows with one chat lose nothing, show and stop each other's answers, and restore nothing deleted", async () => {
  const one = await asked("Asked before");
  const first = workbench.page;
  const second = await workbench.context.newPage();
  second.setDefaultTimeout(60_000);
  await second.goto(first.url());
  workbench.page = second;
  await workbench.ready();
  const two = await workbench.chat();
  try {
    await two.locator(".question").getByText("Asked before").waitFor();
    await say(two, "Asked in the second");
    await one.locator(".question").getByText("Asked in the second").waitFor();
    await one.locator(".answer").nth(1).getByText("5 tokens in total").waitFor();
    await ask(one, "endless", "Asked in the first");
    await two.locator(".answer").nth(2).getByText("word20").waitFor();
    await picture("second-window");
    await two.getByRole("button", { name: "Stop" }).click();
    await eventually(() => upstream.open === 0 && upstream.closed === 1, "Stop in one window does not stop the answer of another");
    for (const frame of [one, two]) await frame.locator(".answer").nth(2).getByText("Stopped").waitFor();
    await more(one, "Asked before");
    await one.getByRole("button", { name: "Delete Asked before" }).click();
    await two.getByText("was deleted in another").waitFor();
    await picture("deleted-elsewhere");
    await two.getByRole("button", { name: "Chats", exact: true }).click();
    expect(await two.getByRole("button", { name: /^Asked before/ }).count()).toBe(0);
  } finally {
    await second.close();
    workbench.page = first;
  }
  const again = await reload();
  await again.getByRole("button", { name: "Chats", exact: true }).click();
  await again.getByRole("button", { name: /^Something else|^Where do/ }).first().waitFor();
  expect(await again.getByRole("button", { name: /^Asked before/ }).count()).toBe(0);
});

/** The folder in which the chats of this workspace are kept. */
function chats(): string {
  const all = join(workbench.sandbox, "user", "User", "globalStorage", "aura.aura", "chats");
  return join(all, readdirSync(all)[0] ?? "");
}

function kept(): string[] {
  return readdirSync(chats(), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(json|jsonl|txt)$/.test(name))
    .map((name) => readFileSync(join(chats(), name), "utf8"));
}

test("a damaged turn hides no other, and is reported", async () => {
  const frame = await asked("Stays one");
  await say(frame, "Gets damaged");
  await say(frame, "Stays two");
  const name = readdirSync(chats(), { recursive: true, encoding: "utf8" }).find((file) => {
    return /[0-9a-f]{24}\.json$/.test(file) && readFileSync(join(chats(), file), "utf8").includes("Gets damaged");
  });
  writeFileSync(join(chats(), name ?? ""), '{"id":"');
  const again = await reload();
  await again.getByText("1 turn of this chat cannot be read").waitFor();
  await again.locator(".question").nth(1).waitFor();
  expect(await again.locator(".question").allInnerTexts()).toEqual(["Stays one", "Stays two"]);
  await picture("damaged");
});

test("a storage failure is shown, with an export, and everything is stored as soon as possible", async () => {
  const frame = await asked("Kept before");
  const place = chats();
  renameSync(place, `${place}.away`);
  writeFileSync(place, "no folder");
  await say(frame, "Not kept yet");
  const notice = frame.locator(".notice").filter({ hasText: "Chats are not stored now" });
  await notice.waitFor();
  await notice.getByRole("button", { name: "Export" }).waitFor();
  await workbench.page.locator(".notification-toast").filter({ hasText: "Chats are not stored now" }).first().waitFor();
  await picture("not-kept");
  await frame.locator(".question").getByText("Not kept yet").waitFor();
  rmSync(place);
  renameSync(`${place}.away`, place);
  await notice.waitFor({ state: "detached" });
  const again = await reload();
  await again.locator(".question").getByText("Not kept yet").waitFor();
  await again.locator(".answer").nth(1).getByText("5 tokens in total").waitFor();
});

test("the chats of version 0.1 are there", async () => {
  const [id, turn] = ["a".repeat(24), "b".repeat(24)];
  const answer = { role: "assistant", turn, agent: "short", model: "short", state: "done", text: "An old answer", reasoning: "", pieces: 1, began: 1, ended: 2 };
  const old = { id, agent: "short", updated: Date.now(), messages: [{ role: "user", text: "An old question" }, answer] };
  writeFileSync(join(chats(), `chat_${id}.json`), JSON.stringify(old));
  const frame = await reload();
  await frame.getByRole("button", { name: "Chats", exact: true }).click();
  await frame.getByRole("button", { name: /^An old question/ }).click();
  await frame.locator(".answer").getByText("An old answer").waitFor();
});
