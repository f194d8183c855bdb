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
  await workbench.command("View: Close All Editors");
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
  await reaches(frame, 2, "waiting");
  await reaches(frame, 1, "done");
  expect(upstream.asked).toHaveLength(before + 1);
  expect(onDisk("whole").map(({ name }) => name)).toEqual(["Step 1", "Step 2"]);
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
  await workbench.command("View: Close All Editors");
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
