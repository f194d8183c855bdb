// @vitest-environment jsdom
// The workflow's page: what it shows of a run, and what it requests.

import { beforeAll, expect, test, vi } from "vitest";
import { newAnswer } from "../../../aura_core/web/chat.js";
import type { FromWorkflow, Shown, ToWorkflow } from "../../src/webview/messages.js";

const posted: FromWorkflow[] = [];

function tell(message: ToWorkflow): void {
  dispatchEvent(new MessageEvent("message", { data: message }));
}

const shown: Shown = {
  title: "Two",
  path: ".aura/workflows/two.yaml",
  uri: "file:///two.yaml",
  problems: [],
  agents: [],
  inputs: {},
  steps: [
    { name: "Draft", agent: "writer", prompt: "Write <b>bold</b>", line: 3 },
    { name: "Review", agent: "critic", prompt: "Read", line: 6 },
  ],
  answers: [null, null],
  running: false,
  trusted: true,
  trouble: "",
};

// The page is loaded once, as in VS Code.
beforeAll(async () => {
  let state: unknown;
  const api = { postMessage: (message: FromWorkflow) => posted.push(message), getState: () => state, setState: (to: unknown) => (state = to) };
  vi.stubGlobal("acquireVsCodeApi", () => api);
  await import("../../src/webview/workflow.js");
});

const button = (label: string) => {
  const found = [...document.querySelectorAll("button")].find((one) => one.textContent === label && !one.hidden);
  if (!found) throw new Error(`there is no button ${label}`);
  return found;
};
const buttons = (label: string) => [...document.querySelectorAll("button")].filter((one) => one.textContent === label);

test("it asks for the workflow, and shows prompts as text", () => {
  expect(posted).toEqual([{ type: "load" }]);
  tell({ type: "workflow", shown });
  expect([...document.querySelectorAll("h2")].map((heading) => heading.textContent)).toEqual(["1. Draft", "2. Review"]);
  expect(document.querySelector(".prompt p")?.textContent).toBe("Write <b>bold</b>");
  expect(document.querySelector("b")).toBeNull();
});

test("a step can run only when the previous one has a complete result", () => {
  tell({ type: "workflow", shown });
  expect(buttons("Run this step").map(({ disabled }) => disabled)).toEqual([false, true]);
  const partial = { ...newAnswer({ id: "writer", model: "writer" }), state: "stopped" as const, text: "half" };
  tell({ type: "workflow", shown: { ...shown, answers: [partial, null] } });
  expect(buttons("Run this step").map(({ disabled }) => disabled)).toEqual([false, true]);
  const whole = { ...newAnswer({ id: "writer", model: "writer" }), state: "done" as const, text: "whole" };
  tell({ type: "workflow", shown: { ...shown, answers: [whole, null] } });
  expect(buttons("Run this step").map(({ disabled }) => disabled)).toEqual([false, false]);
  buttons("Run from here")[1]?.click();
  expect(posted.at(-1)).toEqual({ type: "run", from: 1 });
});

test("a step's text grows while it runs, and its end is marked", async () => {
  tell({ type: "workflow", shown: { ...shown, running: true } });
  tell({ type: "begin", step: 0, answer: newAnswer({ id: "writer", model: "writer" }) });
  tell({ type: "events", events: [{ step: 0, event: { type: "token", content: "So " } }, { step: 0, event: { type: "token", content: "far" } }] });
  const step = document.querySelector<HTMLElement>(".step");
  expect(step?.dataset["state"]).toBe("running");
  await vi.waitFor(() => expect(step?.querySelector(".text")?.textContent).toContain("So far"), 10_000);
  tell({ type: "events", events: [{ step: 0, event: { type: "error", code: "llm_error", message: "It broke" } }] });
  expect(step?.dataset["state"]).toBe("failed");
  expect(step?.querySelector(".badge")?.textContent).toBe("Failed; the text is partial");
  await vi.waitFor(() => expect(step?.querySelector(".failure")?.textContent).toContain("It broke"), 10_000);
});

test("an invalid file shows its lines, and does not run", () => {
  tell({ type: "workflow", shown: { ...shown, steps: [], answers: [], problems: [{ line: 4, message: "'prompt' is missing." }] } });
  expect(button("Run all").disabled).toBe(true);
  button("Line 4").click();
  expect(posted.at(-1)).toEqual({ type: "open", line: 4 });
});

test("without trust nothing can be run", () => {
  tell({ type: "workflow", shown: { ...shown, trusted: false } });
  expect(button("Run all").disabled).toBe(true);
  expect(buttons("Run this step").every(({ disabled }) => disabled)).toBe(true);
});

test("a ping of the host is answered, so that it knows that the page is alive", () => {
  tell({ type: "ping" });
  expect(posted.at(-1)).toEqual({ type: "beat" });
});
