// The workflow's tab: what it shows while its file is read again. Only VS Code itself is simulated here.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { newAnswer, take } from "../../../aura_core/web/chat.js";
import type { TurnEvent } from "../../../aura_core/web/host-types.js";
import { WorkflowPanel } from "../../src/providers/workflowPanel.js";
import type { Server } from "../../src/server.js";
import type { FromWorkflow, Shown, ToWorkflow } from "../../src/webview/messages.js";
import { RunStore } from "../../src/workflow/store.js";

const { folder, reads } = vi.hoisted(() => ({ folder: { path: "" }, reads: [] as ((text: string) => void)[] }));

vi.mock("vscode", () => {
  const event = () => ({ dispose() {} });
  return {
    Uri: { joinPath: (uri: object) => uri },
    env: {},
    RelativePattern: class {},
    commands: { executeCommand: () => Promise.resolve() },
    workspace: {
      isTrusted: true,
      getWorkspaceFolder: () => ({ uri: { scheme: "file", fsPath: folder.path } }),
      createFileSystemWatcher: () => ({ onDidChange: event, onDidCreate: event, onDidDelete: event, dispose() {} }),
      onDidSaveTextDocument: event,
      asRelativePath: () => "w.yaml",
      fs: { readFile: () => new Promise((resolve) => reads.push((text) => resolve(new TextEncoder().encode(text)))) },
    },
  };
});

const STEP = { name: "S", agent: "a", prompt: "p", line: 2 };
const FILE = "steps:\n  - {agent: a, prompt: p, name: S}\n";

test("reading the file after a run has started does not restore old results", async () => {
  folder.path = mkdtempSync(join(tmpdir(), "aura-workflow-"));
  const old = newAnswer({ id: "a", model: "a" });
  take(old, { type: "token", content: "an old result" });
  take(old, { type: "done", totalTokens: 1, finishReason: "stop" });
  new RunStore(folder.path, "w").write("w", new Date(0), [STEP], [old]);
  const posted: ToWorkflow[] = [];
  const shown = () => posted.filter((message) => message.type === "workflow").at(-1)?.shown as Shown;
  let receive: (message: FromWorkflow) => void = () => {};
  const webview = {
    asWebviewUri: () => "",
    onDidReceiveMessage: (listener: typeof receive) => (receive = listener),
    postMessage: (message: ToWorkflow) => posted.push(structuredClone(message)),
  };
  let emit: (event: TurnEvent) => void = () => {};
  const server = {
    state: { kind: "offline" },
    look: () => Promise.resolve(server.state),
    lookAgain: () => Promise.resolve(server.state),
    onChange: () => ({ dispose() {} }),
    turn: (_: unknown, receive: typeof emit) => new Promise<void>((over) => (emit = (event) => (receive(event), event.type === "error" && over()))),
  };
  const arguments_ = [{ visible: true, webview, onDidChangeViewState() {} }, { path: "/w.yaml" }, {}, server as unknown as Server, {}, () => {}];
  const panel = new WorkflowPanel(...(arguments_ as ConstructorParameters<typeof WorkflowPanel>));
  const read = async () => {
    await vi.waitFor(() => expect(reads).not.toHaveLength(0));
    reads.shift()?.(FILE);
  };
  receive({ type: "load" });
  await read();
  await vi.waitFor(() => expect(shown().answers[0]).toMatchObject({ state: "done", text: "an old result" }));
  receive({ type: "run", from: 0 });
  const late = panel.refresh(); // its file was saved a moment before
  await read();
  await vi.waitFor(() => expect(panel.running).toBe(true));
  await read();
  await late;
  expect(shown().answers[0]).toMatchObject({ state: "connecting", text: "" });
  emit({ type: "error", code: "llm_error", message: "broken" });
  await vi.waitFor(() => expect(shown().running).toBe(false));
  expect(shown().answers[0]).toMatchObject({ state: "failed" });
});
