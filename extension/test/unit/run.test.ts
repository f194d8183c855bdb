// A workflow's run against a real HTTP server: only complete results are passed on and written as results.

import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { Server } from "../../src/server.js";
import type { Step } from "../../src/workflow/file.js";
import { WorkflowRun, type Audience } from "../../src/workflow/run.js";
import { RunStore, type Written } from "../../src/workflow/store.js";
import { done, failed, serve, token } from "./upstream.js";

const steps: Step[] = ["one", "two", "three"].map((name, index) => ({ name, agent: name, prompt: `do ${name}`, line: index + 1 }));
let folder: string;
let store: RunStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "aura-runs-"));
  store = new RunStore(folder, "flow");
});

function client(url: string): Server {
  return new Server({ url: () => url, token: () => Promise.resolve(undefined), log: () => {} });
}

/** A run that writes every finished step. */
function start(url: string, before = store.read(steps).answers, audience: Partial<Audience> = {}): WorkflowRun {
  const server = client(url);
  const run: WorkflowRun = new WorkflowRun(steps, before, (...turn) => server.turn(...turn), {
    began: () => {},
    received: () => {},
    ended: () => void store.write("flow", run.started, steps, run.answers),
    ...audience,
  });
  return run;
}

function files(): string[] {
  return readdirSync(join(folder, ".aura", "runs", "flow"));
}

function written(): Written[] {
  const latest = files().sort().at(-1) ?? "";
  return (JSON.parse(readFileSync(join(folder, ".aura", "runs", "flow", latest), "utf8")) as { steps: Written[] }).steps;
}

test("each step gets the complete result of the previous one, and all are written", async () => {
  const { url, requests } = await serve(({ agent }, response) => {
    token(response, `result `);
    token(response, `of ${agent}`);
    done(response);
  });
  await start(url).run();
  expect(requests.map(({ body }) => [body.prompt, body.additionalContext])).toEqual([
    ["do one", ""],
    ["do two", "result of one"],
    ["do three", "result of two"],
  ]);
  expect(written().map(({ status, output }) => [status, output])).toEqual([
    ["done", "result of one"],
    ["done", "result of two"],
    ["done", "result of three"],
  ]);
  expect(files()).toHaveLength(1);
});

test("a step that fails keeps its text, marked, and passes nothing on", async () => {
  const { url, requests } = await serve(({ agent }, response) => {
    token(response, `part of ${agent}`);
    if (agent === "two") failed(response);
    else done(response);
  });
  const run = start(url);
  await run.run();
  expect(requests).toHaveLength(2);
  const [, two] = written();
  expect(two).toMatchObject({ status: "failed", partial: "part of two", error: { code: "llm_error", message: "It broke" } });
  expect(two).not.toHaveProperty("output");
  await expect(start(url).run(2)).rejects.toThrow("Step 2 has no complete result for step 3.");
  expect(requests).toHaveLength(2);
});

test("a stream without a terminal event is not a result", async () => {
  let cut = () => {};
  const { url, requests } = await serve((_, response) => {
    token(response, "half a sen");
    cut = () => void response.destroy();
  });
  await start(url, [], { received: (_, event) => event.type === "token" && cut() }).run();
  expect(requests).toHaveLength(1);
  expect(written()).toMatchObject([{ status: "failed", partial: "half a sen", error: { code: "connection_lost" } }]);
});

test("stop closes the connection, writes the partial text at once, and starts no further step", async () => {
  let closed = 0;
  const { url, requests } = await serve((_, response) => {
    token(response, "a beginning");
    response.on("close", () => closed++);
  });
  const run = start(url, [], { received: (_, event) => event.type === "token" && setTimeout(() => run.stop("the window was closed")) });
  const ran = run.run();
  await vi.waitFor(() => expect(run.answers[0]?.state).toBe("stopped"), 10_000);
  // Written synchronously: the process may end now.
  expect(written()).toMatchObject([{ status: "stopped", partial: "a beginning", reason: "the window was closed" }]);
  await ran;
  await vi.waitFor(() => expect(closed).toBe(1), 10_000);
  expect(requests).toHaveLength(1);
});

test("while a step runs, the file on disk contains none of its text", async () => {
  let open: () => void = () => {};
  const gate = new Promise<void>((resolve) => (open = resolve));
  const { url, requests } = await serve(async ({ agent }, response) => {
    token(response, `text of ${agent}`);
    if (agent === "two") await gate;
    done(response);
  });
  const ran = start(url).run();
  await vi.waitFor(() => expect(requests).toHaveLength(2), 10_000);
  expect(written().map(({ name }) => name)).toEqual(["one"]);
  open();
  await ran;
  expect(written().map(({ name }) => name)).toEqual(["one", "two", "three"]);
});

test("a run from a step on uses the earlier result, and drops the later ones", async () => {
  const { url, requests } = await serve(({ agent }, response) => {
    token(response, `of ${agent}`);
    done(response);
  });
  await start(url).run();
  const again = start(url);
  await again.run(1, 1);
  expect(requests.slice(3).map(({ agent, body }) => [agent, body.additionalContext])).toEqual([["two", "of one"]]);
  expect(written().map(({ name }) => name)).toEqual(["one", "two"]);
});

test("results hold only up to the first step that was changed", async () => {
  const { url } = await serve(({ agent }, response) => {
    token(response, `of ${agent}`);
    done(response);
  });
  await start(url).run();
  const changed = steps.map((step) => (step.name === "two" ? { ...step, prompt: "do something else" } : step));
  expect(store.read(changed).answers.map((answer) => answer?.text)).toEqual(["of one"]);
});

test("an invalid file among the runs is ignored, and a partial file is never left", async () => {
  const { url } = await serve(({ agent }, response) => {
    token(response, `of ${agent}`);
    done(response);
  });
  await start(url).run();
  writeFileSync(join(folder, ".aura", "runs", "flow", "9999.json"), '{"steps": [{"status": "do');
  expect(store.read(steps).answers).toHaveLength(3);
  expect(files().filter((name) => name.startsWith("."))).toEqual([]);
});

test.each(["..", ".", "..."])("the results of a workflow called %j stay in the folder of the runs", (stem) => {
  new RunStore(folder, stem).write("w", new Date(0), [], []);
  expect(readdirSync(join(folder, ".aura"))).toEqual(["runs"]);
  expect(readdirSync(join(folder, ".aura", "runs"))).toEqual(["unnamed"]);
});
