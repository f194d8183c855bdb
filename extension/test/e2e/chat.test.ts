// End-to-end tests of the chat in a real workbench, with a real server whose provider detects every hang-up.

import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import { agents, Aura, Upstream } from "./aura.js";
import { eventually } from "./eventually.js";
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
  if (upstream.open) await workbench.command("Aura: Stop All Answers");
  await eventually(() => upstream.open === 0, "an answer runs on after its test");
  upstream.closed = 0;
});

/** An endless answer that has started to show. */
async function endless() {
  const frame = await workbench.chat();
  const answer = await ask(frame, "endless", "go on");
  await answer.getByText("word3").waitFor();
  expect(upstream.open).toBe(1);
  return frame;
}

/** Ask for a short answer, and wait for its end. */
async function answered(frame: Frame, text: string): Promise<void> {
  await (await ask(frame, "short", text)).getByText("5 tokens in total").waitFor();
}

async function hungUp(): Promise<void> {
  await eventually(() => upstream.closed === 1 && upstream.open === 0, () => `the provider saw ${upstream.closed} hang-ups`);
}

test("the chat connects, and an answer streams to its end", async () => {
  const frame = await workbench.chat();
  await workbench.says("agents");
  const answer = await ask(frame, "echo", "Hello from the workbench");
  await answer.getByText("Hello from the workbench").waitFor();
  await answer.getByText(/tokens in total/).waitFor();
});

test("Ctrl+F finds a text in an earlier answer, and Escape goes back to the message", async () => {
  const frame = await workbench.chat();
  for (const text of ["Where is the walrus?", "And now something else"]) {
    await (await ask(frame, "echo", text)).getByText(/tokens in total/).waitFor();
  }
  const focused = () => frame.evaluate(() => document.activeElement?.ariaLabel ?? document.activeElement?.getAttribute("name"));
  await frame.getByLabel("Message").press("Control+f");
  await eventually(async () => (await focused()) === "Find in this chat", "the search does not open");
  await workbench.page.keyboard.type("walrus");
  await frame.locator(".find").getByText("1 of 2").waitFor(); // in the question
  await workbench.page.keyboard.press("Enter");
  await frame.locator(".find").getByText("2 of 2").waitFor();
  const found = await frame.evaluate(() => {
    const [range] = CSS.highlights.get("aura-found-here") ?? [];
    return range instanceof Range && range.startContainer.parentElement?.closest(".answer") ? range.toString() : "";
  });
  expect(found).toBe("walrus");
  await workbench.page.keyboard.press("Escape");
  await frame.locator(".find").waitFor({ state: "hidden" });
  expect(await focused()).toBe("Message");
});

test("Stop closes the connection to the provider, and the text stays", async () => {
  const frame = await endless();
  await frame.getByRole("button", { name: "Stop" }).click();
  await hungUp();
  const answer = frame.locator(".answer").last();
  await answer.getByText("Stopped").waitFor();
  await answer.getByText("word3").waitFor();
});

test("Escape stops, too", async () => {
  const frame = await endless();
  await frame.getByLabel("Message").press("Escape");
  await hungUp();
});

test("the command stops, too", async () => {
  const frame = await endless();
  await workbench.command("Aura: Stop All Answers");
  await hungUp();
  await frame.locator(".answer").last().getByText("Stopped").waitFor();
});

test("New Chat stops the running answer", async () => {
  const frame = await endless();
  await frame.getByRole("button", { name: "New chat" }).click();
  await hungUp();
});

test("an error in mid-stream keeps the text and offers advice", async () => {
  const frame = await workbench.chat();
  const answer = await ask(frame, "breaks", "break");
  await answer.getByText("word7").waitFor();
  upstream.cut();
  await answer.locator(".failure").waitFor();
  await answer.getByText("word7").waitFor();
  expect(await answer.locator(".failure").getAttribute("data-code")).toBe("interrupted");
  await answer.getByRole("button", { name: "Retry" }).waitFor();
});

test("an agent that cannot stream answers", async () => {
  const frame = await workbench.chat();
  const answer = await ask(frame, "whole", "whole");
  await answer.getByText("This answer came in one piece.").waitFor();
});

test("an answer hidden for ten seconds is stopped, which shows when the chat is visible again", async () => {
  await endless();
  await workbench.command("View: Show Explorer");
  await hungUp();
  const frame = await workbench.chat();
  const answer = frame.locator(".answer").last();
  await answer.getByText("Stopped: hidden").waitFor();
  await answer.getByText("word3").waitFor();
  await answer.getByRole("button", { name: "Continue" }).click();
  await frame.getByText("Continue where you stopped.").waitFor();
  await eventually(() => upstream.open === 1, "nothing was asked");
});

test("an answer hidden and shown at once continues completely", async () => {
  await endless();
  // Keys, not commands: a palette that has to be opened again would take most of the ten seconds.
  const shown = workbench.page.locator("#workbench\\.parts\\.sidebar");
  await workbench.page.keyboard.press("Control+b");
  await shown.waitFor({ state: "hidden" });
  await workbench.page.keyboard.press("Control+b");
  const frame = await workbench.frame(".composer textarea", "workbench.parts.sidebar");
  const answer = frame.locator(".answer").last();
  await answer.getByText("word30").waitFor();
  const words = (await answer.locator(".text").innerText()).trim().split(/\s+/);
  expect(words).toEqual(words.map((_, index) => `word${index + 1}`));
  expect(upstream.closed).toBe(0);
});

test("a running answer continues in the editor, and ends with its tab", async () => {
  await endless();
  await workbench.command("Aura: Open Chat in Editor");
  const tab = await workbench.frame(".answer", "workbench.parts.editor");
  const answer = tab.locator(".answer").last();
  await answer.getByText("word3").waitFor();
  const said = (await answer.locator(".text").innerText()).trim().split(/\s+/).length;
  await answer.getByText(`word${said + 20}`).waitFor();
  expect(upstream.closed).toBe(0);
  await workbench.closeTab();
  await hungUp();
});

test("a selection and a file are attached, visible and removable", async () => {
  const { page } = workbench;
  await workbench.command("View: Show Explorer");
  await page.getByRole("treeitem", { name: "notes.txt" }).click();
  await page.locator(".view-lines").getByText("two").click();
  await page.keyboard.press("Control+a");
  await workbench.command("Aura: Ask about Selection");
  const frame = await workbench.frame(".attached li");
  await frame.locator(".attached").getByText("notes.txt:1-3").waitFor();
  await workbench.command("Aura: Add File to Chat");
  await frame.locator(".attached li").nth(1).getByText("notes.txt").waitFor();
  await frame.getByRole("button", { name: "Remove notes.txt", exact: true }).click();
  await eventually(async () => (await frame.locator(".attached li").count()) === 1, "the file stays attached");
  const before = upstream.asked.length;
  await answered(frame, "what is this?");
  await frame.locator(".question").last().getByText("+ notes.txt:1-3").waitFor();
  const system = (asked: number) => upstream.asked[asked]?.messages.find(({ role }) => role === "system")?.content ?? "";
  expect(system(before)).toContain("From notes.txt, lines 1 to 3:\n\n```\none\ntwo\nthree\n```");
  // It stays in the chat, with its size, for the next question and over a reload, until it is removed.
  await frame.locator(".attached li").getByText(/^\d+ characters$/).waitFor();
  await workbench.page.reload();
  await workbench.ready();
  const again = await workbench.chat();
  await again.locator(".attached").getByText("notes.txt:1-3").waitFor();
  await answered(again, "and this?");
  expect(system(before + 1)).toContain("one\ntwo\nthree");
  await again.getByRole("button", { name: "Remove notes.txt:1-3" }).click();
  await eventually(async () => (await again.locator(".attached li").count()) === 0, "the selection stays attached");
  await answered(again, "and without it?");
  expect(system(before + 2)).not.toContain("one\ntwo\nthree");
});

test("a reload of the window stops the answer, and the chat is kept", async () => {
  await endless();
  await workbench.page.reload();
  await hungUp();
  await workbench.ready();
  const frame = await workbench.chat();
  const answer = frame.locator(".answer").last();
  await answer.getByText("Stopped").waitFor();
  await answer.getByText("word3").waitFor();
});

test("each place shows its own chat, after a reload, too", async () => {
  const before = await workbench.chat();
  await before.getByRole("button", { name: "New chat" }).click();
  await before.locator(".welcome").waitFor();
  await answered(before, "in the tab");
  await workbench.command("Aura: Open Chat in Editor");
  await workbench.frame(".answer", "workbench.parts.editor");
  await workbench.layoutKept("in the tab");
  await endless();
  await workbench.page.reload();
  await hungUp();
  await workbench.ready();
  const view = await workbench.chat();
  await view.locator(".answer").last().getByText("Stopped").waitFor();
  const tab = await workbench.frame(".answer", "workbench.parts.editor");
  await tab.locator(".question").last().getByText("in the tab").waitFor();
  await answered(tab, "and again");
  // The chat chosen in the list may be open in the tab: then the tab comes to the front.
  await view.getByRole("button", { name: "Chats" }).click();
  await view.getByRole("button", { name: /^in the tab/ }).click();
  await view.locator(".welcome").waitFor();
  await eventually(async () => (await view.locator(".question").count()) === 0, "the side bar shows the tab's chat, too");
  await workbench.closeTab();
  await view.getByRole("button", { name: "Chats" }).click();
  await view.getByRole("button", { name: /^in the tab/ }).click();
  await view.locator(".question").last().getByText("and again").waitFor();
});

test("a tab that was closed a moment before a reload stays closed", async () => {
  const frame = await workbench.chat();
  await frame.getByRole("button", { name: "New chat" }).click();
  await frame.locator(".welcome").waitFor();
  await answered(frame, "soon in a tab");
  await workbench.command("Aura: Open Chat in Editor");
  await workbench.frame(".answer", "workbench.parts.editor");
  await workbench.layoutKept("soon in a tab");
  await workbench.page.locator(".tab").filter({ hasText: "soon in a tab" }).waitFor();
  await workbench.closeTab();
  await workbench.page.reload(); // VS Code's layout has the tab again
  await workbench.ready();
  await workbench.chat();
  await workbench.page.locator(".tab").filter({ hasText: "soon in a tab" }).waitFor({ state: "detached" });
});

test("a killed browser stops the answer, and the chat is kept for the next one", async () => {
  await endless();
  await workbench.killBrowser();
  await hungUp();
  await workbench.browse();
  const frame = await workbench.chat();
  await frame.locator(".answer").last().getByText("word3").waitFor();
});
