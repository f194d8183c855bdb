// End-to-end tests of workflows: complete, failing, stopped and reloaded ones; only complete results are written.

import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { agents, Aura, Upstream } from "./aura.js";
import { eventually } from "./eventually.js";
import { Workbench } from "./workbench.js";

const folder = mkdtempSync(join(tmpdir(), "aura-e2e-server-"));
const upstream = new Upstream();
const aura = new Aura();
let workbench: Workbench;

const flow = (...names: string[]) =>
  `name: ${names.join(" then ")}\nsteps:\n` + names.map((agent) => `  - name: ${agent}\n    agent: ${agent}\n    prompt: Go\n`).join("");

const files = {
  ".aura/workflows/whole.yaml": "name: Whole\nsteps:\n" + [1, 2, 3].map((n) => `  - {name: Step ${n}, agent: short, prompt: Part ${n}}\n`).join(""),
  ".aura/workflows/fails.yaml": flow("short", "breaks", "echo"),
  ".aura/workflows/stops.yaml": flow("short", "endless", "echo"),
  ".aura/workflows/reloads.yaml": flow("short", "endless", "echo"),
  ".aura/workflows/ghost.yaml": "name: Ghost\nsteps:\n  - {agent: short, prompt: Go}\n  - {agent: ghost, prompt: Go}\n",
  ".aura/workflows/asks.yaml":
    "name: Asks\ninputs:\n  - {name: topic, prompt: What is it about?, default: rain}\nsteps:\n" +
    "  - {name: Draft, agent: short, prompt: 'Write about {{topic}}.'}\n  - {name: Review, agent: short, prompt: 'Name what is weak about {{ topic }}.'}\n",
  ".aura/workflows/broken.yaml": "name: Broken\nsteps:\n  - agent: echo\n    promt: Typo\n",
};

beforeAll(async () => {
  await upstream.start();
  await aura.start(agents(folder, upstream), folder);
  workbench = await new Workbench({ files, settings: { "aura.server.url": aura.url } }).start();
});

afterAll(async () => {
  await workbench?.stop();
  await aura.stop();
  await upstream.stop();
});

async function open(name: string): Promise<Frame> {
  await workbench.closeTabs();
  await workbench.command("Aura: Open Workflow");
  await workbench.page.locator(".quick-input-list .monaco-list-row").filter({ hasText: `${name}.yaml` }).first().click();
  return workbench.frame(name === "broken" ? ".notes .failure" : ".steps .step");
}

interface Step {
  name: string;
  status: string;
  output?: string;
  partial?: string;
}

function onDisk(name: string): Step[] {
  const runs = join(workbench.workspace, ".aura", "runs", name);
  const latest = existsSync(runs) ? readdirSync(runs).sort().at(-1) : undefined;
  return latest ? (JSON.parse(readFileSync(join(runs, latest), "utf8")) as { steps: Step[] }).steps : [];
}

function state(frame: Frame, step: number): Promise<string | null> {
  return frame.locator(".step").nth(step).getAttribute("data-state");
}

async function reaches(frame: Frame, step: number, wanted: string): Promise<void> {
  await eventually(async () => (await state(frame, step)) === wanted, `step ${step + 1} is never ${wanted}`);
}

const WORDS = "word1 word2 word3 word4 word5 ";

test("three steps run through, each with the result of the one before", async () => {
  const frame = await open("whole");
  await frame.getByRole("button", { name: "Run all" }).click();
  for (const step of [0, 1, 2]) await reaches(frame, step, "done");
  await frame.locator(".step").nth(2).getByText("word5").waitFor();
  expect(onDisk("whole").map(({ status, output }) => [status, output])).toEqual([["done", WORDS], ["done", WORDS], ["done", WORDS]]);
  const systems = upstream.asked.map(({ messages }) => messages.filter(({ role }) => role === "system").map(({ content }) => content));
  expect(systems[0]).toEqual([]);
  for (const system of systems.slice(1)) expect(system.join()).toContain(`Additional context:\n${WORDS}`);
});

test("a run from a step on uses the existing result", async () => {
  const frame = await open("whole");
  const before = upstream.asked.length;
  await frame.locator(".step").nth(1).getByRole("button", { name: "Run this step" }).click();
  await reaches(frame, 2, "waiting"); // it had a result before
  await reaches(frame, 1, "done");
  expect(upstream.asked).toHaveLength(before + 1);
  expect(onDisk("whole").map(({ name }) => name)).toEqual(["Step 1", "Step 2"]);
});

test("Ask again on a step runs this step only, and the panel reads the file again after a run", async () => {
  const frame = await open("whole");
  await frame.getByRole("button", { name: "Run all" }).click();
  await reaches(frame, 2, "done");
  const before = upstream.asked.length;
  upstream.holds = true;
  await frame.locator(".step").nth(1).getByRole("button", { name: "Ask again" }).click();
  await reaches(frame, 1, "running");
  workbench.write(".aura/workflows/whole.yaml", `${files[".aura/workflows/whole.yaml"]}  - {name: Added, agent: short, prompt: Last}\n`);
  upstream.holds = false;
  await reaches(frame, 1, "done");
  await reaches(frame, 2, "waiting");
  await frame.locator(".step").nth(3).getByText("4. Added").waitFor();
  expect(upstream.asked).toHaveLength(before + 1);
});

test("agents that the server does not have are found before anything runs", async () => {
  const frame = await open("ghost");
  const before = upstream.asked.length;
  await frame.getByRole("button", { name: "Run all" }).click();
  await frame.getByText("The server has no agent 'ghost'").waitFor();
  await frame.getByRole("button", { name: "Line 4" }).click();
  await workbench.page.locator(".squiggly-warning").first().waitFor();
  expect([upstream.asked.length, await state(frame, 0)]).toEqual([before, "waiting"]);
});

test("inputs are asked for, kept with the run, and two runs are compared", async () => {
  const frame = await open("asks");
  const input = workbench.page.locator(".quick-input-widget input[type=text]");
  const run = async (name: string, value: string) => {
    await frame.getByRole("button", { name }).first().click();
    await workbench.page.getByText("What is it about?").waitFor();
    if (value) await input.fill(value);
    await input.press("Enter");
  };
  const said = () => upstream.asked.at(-1)?.messages.at(-1)?.content;
  await run("Run all", "");
  await reaches(frame, 1, "done");
  expect([said(), await frame.locator(".given").innerText()]).toEqual(["Name what is weak about rain.", "topic: rain"]);
  await run("Run all", "snow");
  await eventually(() => said() === "Name what is weak about snow.", "the input was not used");
  await reaches(frame, 1, "done");
  // A later step alone keeps the inputs of the results that it goes on from.
  const before = upstream.asked.length;
  await frame.locator(".step").nth(1).getByRole("button", { name: "Run this step" }).click();
  const runs = join(workbench.workspace, ".aura", "runs", "asks");
  await eventually(() => readdirSync(runs).filter((name) => !name.startsWith(".")).length === 3, "there is no third run");
  expect([upstream.asked.length, said()]).toEqual([before + 1, "Name what is weak about snow."]);
  await reaches(frame, 1, "done");
  const last = JSON.parse(readFileSync(join(runs, readdirSync(runs).sort().at(-1) as string), "utf8")) as { inputs: object };
  expect(last.inputs).toEqual({ topic: "snow" });
  await frame.getByRole("button", { name: "Runs" }).click();
  const rows = workbench.page.locator(".quick-input-list .monaco-list-row");
  await rows.filter({ hasText: "rain" }).click();
  await rows.filter({ hasText: "snow" }).first().click();
  await workbench.page.locator(".quick-input-widget").getByRole("button", { name: "OK" }).click();
  await workbench.page.locator(".tab.active").filter({ hasText: "↔" }).waitFor();
  await workbench.page.locator(".diff-editor, .monaco-diff-editor").getByText("topic: snow").first().waitFor();
});

test("a new workflow names an agent of the server and is in the tree; the editor completes and checks it", async () => {
  await workbench.closeTabs();
  await workbench.command("Aura: New Workflow");
  const input = workbench.page.locator(".quick-input-widget input[type=text]");
  await input.fill("fresh");
  await input.press("Enter");
  await workbench.page.locator(".tab.active").filter({ hasText: "fresh.yaml" }).waitFor();
  const text = readFileSync(join(workbench.workspace, ".aura", "workflows", "fresh.yaml"), "utf8");
  const listed = ((await (await fetch(`${aura.url}/api/agents`)).json()) as { agents: { id: string }[] }).agents.map(({ id }) => id);
  expect(listed).toContain(/agent: (\S+)/.exec(text)?.[1]);
  await workbench.command("Aura: Focus on Workflows View");
  await workbench.page.getByRole("treeitem", { name: "fresh" }).waitFor();
  await workbench.page.locator(".view-lines").getByText("Review", { exact: true }).click();
  await workbench.page.keyboard.press("Control+End");
  await workbench.page.keyboard.insertText("  - name: Third\n    agent: sho");
  await workbench.page.keyboard.press("Control+Space");
  await workbench.page.locator(".suggest-widget .monaco-list-row").filter({ hasText: "short" }).first().waitFor();
  await workbench.page.keyboard.press("Enter");
  await workbench.page.locator(".view-lines").getByText("short").waitFor();
  await workbench.page.locator(".squiggly-error").first().waitFor(); // its prompt is missing
  await workbench.page.keyboard.press("Control+s");
  await workbench.page.locator(".tab.active:not(.dirty)").waitFor();
});

test("a failing step keeps its text, marked, and ends the run", async () => {
  const frame = await open("fails");
  await frame.getByRole("button", { name: "Run all" }).click();
  await frame.locator(".step").nth(1).getByText("word7").waitFor();
  upstream.cut();
  await reaches(frame, 1, "failed");
  await frame.locator(".step").nth(1).getByText("Failed; the text is partial").waitFor();
  expect(await state(frame, 2)).toBe("waiting");
  const [one, two, ...others] = onDisk("fails");
  expect(one).toMatchObject({ status: "done", output: WORDS });
  expect(two).toMatchObject({ status: "failed", partial: expect.stringContaining("word7") });
  expect(two).not.toHaveProperty("output");
  expect(others).toEqual([]);
  expect(await frame.locator(".step").nth(2).getByRole("button", { name: "Run this step" }).isDisabled()).toBe(true);
});

test("hiding the panel stops nothing; Stop stops at the provider", async () => {
  const frame = await open("stops");
  upstream.closed = 0;
  await frame.getByRole("button", { name: "Run all" }).click();
  await reaches(frame, 1, "running");
  await workbench.command("File: New Untitled Text File");
  await new Promise((resolve) => setTimeout(resolve, 12_000));
  expect(upstream.open).toBe(1);
  await workbench.page.keyboard.press("Control+w");
  const shown = await workbench.frame(".steps .step");
  await shown.locator(".step").nth(1).getByText("word200").waitFor();
  expect(onDisk("stops").map(({ name }) => name)).toEqual(["short"]);
  await shown.getByRole("button", { name: "Stop" }).click();
  await reaches(shown, 1, "stopped");
  await eventually(() => upstream.closed === 1, "the provider sees no hang-up");
  expect(onDisk("stops")[1]).toMatchObject({ status: "stopped", partial: expect.stringContaining("word200") });
  expect(onDisk("stops")).toHaveLength(2);
});

test("closing the panel stops at the provider", async () => {
  const frame = await open("stops");
  upstream.closed = 0;
  await frame.getByRole("button", { name: "Run all" }).click();
  await reaches(frame, 1, "running");
  await eventually(() => upstream.open === 1, "nothing runs");
  await workbench.closeTabs();
  await eventually(() => upstream.closed === 1 && upstream.open === 0, "the provider sees no hang-up");
  expect(onDisk("stops")[1]).toMatchObject({ status: "stopped", reason: "the panel was closed" });
});

test("a reload in the middle stops the step; complete results are restored", async () => {
  const frame = await open("reloads");
  upstream.closed = 0;
  await frame.getByRole("button", { name: "Run all" }).click();
  await reaches(frame, 1, "running");
  await frame.locator(".step").nth(1).getByText("word9").waitFor();
  await workbench.command("Developer: Reload Window");
  await eventually(() => upstream.closed === 1 && upstream.open === 0, "the provider sees no hang-up");
  await workbench.ready();
  const again = await workbench.frame(".steps .step");
  await reaches(again, 0, "done");
  await reaches(again, 1, "stopped");
  expect(await state(again, 2)).toBe("waiting");
  const [one, two, ...others] = onDisk("reloads");
  expect(one).toMatchObject({ status: "done", output: WORDS });
  expect(two).toMatchObject({ status: "stopped", partial: expect.stringContaining("word9") });
  expect(others).toEqual([]);
});

test("an invalid file is shown with line and reason, and runs once it is corrected", async () => {
  const frame = await open("broken");
  await frame.getByRole("button", { name: "Line 4" }).waitFor();
  await frame.getByText("'promt' is unknown").waitFor();
  expect(await frame.getByRole("button", { name: "Run all" }).isDisabled()).toBe(true);
  await frame.getByRole("button", { name: "Line 4" }).click();
  await workbench.page.locator(".view-lines").getByText("promt").dblclick();
  await workbench.page.keyboard.insertText("prompt");
  await workbench.page.keyboard.press("Control+s");
  await frame.locator(".step").waitFor();
  await frame.getByRole("button", { name: "Run all" }).click();
  await reaches(frame, 0, "done");
});
