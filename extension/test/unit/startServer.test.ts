// Start Aura: when it does not type the command, its message about the folder, and that it never trusts one by itself.

import { chmodSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { folderAsks, trustsByItself } from "../../src/command.js";
import { Server } from "../../src/server.js";
import { Starter } from "../../src/startServer.js";

interface Typed {
  disposed?: boolean;
  exitStatus?: { code: number };
  shellIntegration?: object;
  cwd?: { fsPath: string };
  env?: Record<string, string | null>;
  text: string[];
  focused: boolean;
}

const code = vi.hoisted(() => ({
  trusted: true,
  command: "aura serve",
  folder: "",
  terminals: [] as Typed[],
  messages: [] as string[],
  executed: [] as string[],
  /** The button that is pressed wherever it is offered. */
  pressed: "Manage Workspace Trust",
  ended: (_: object) => {},
}));

vi.mock("vscode", () => {
  const say = (message: string, ...buttons: string[]) => {
    code.messages.push(message);
    return Promise.resolve(buttons.find((button) => button === code.pressed));
  };
  return {
    ThemeIcon: class {},
    Uri: { joinPath: (uri: object) => uri },
    commands: { executeCommand: (name: string) => Promise.resolve(code.executed.push(name)) },
    window: {
      showWarningMessage: say,
      showInformationMessage: say,
      createTerminal: (options: Typed) => {
        const typed: Typed = { ...options, text: [], focused: false, exitStatus: { code: 1 } };
        code.terminals.push(typed);
        const show = (kept: boolean) => (typed.focused = !kept);
        return Object.assign(typed, { show, sendText: (text: string) => typed.text.push(text), dispose: () => (typed.disposed = true) });
      },
      onDidCloseTerminal: () => ({ dispose() {} }),
      onDidEndTerminalShellExecution: (listener: typeof code.ended) => {
        code.ended = listener;
        return { dispose() {} };
      },
    },
    env: {},
    extensions: { getExtension: () => undefined },
    workspace: {
      get isTrusted() {
        return code.trusted;
      },
      get workspaceFolders() {
        return [{ uri: { scheme: "file", fsPath: code.folder } }];
      },
      getConfiguration: () => ({ get: () => code.command }),
    },
  };
});

const offline = (url = "http://127.0.0.1:9") => new Server({ url: () => url, token: () => Promise.resolve(undefined), log: () => {} });

/** Start Aura once, in a window of its own. */
const startServer = (server: Server) => new Starter(server, {} as ConstructorParameters<typeof Starter>[1]).start();

/** A folder with programs. */
function programs(...names: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "aura-programs-"));
  for (const name of names) {
    writeFileSync(join(folder, name), "#!/bin/sh\n");
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

beforeEach(() => {
  Object.assign(code, { pressed: "Manage Workspace Trust", trusted: true, command: "aura serve", folder: mkdtempSync(join(tmpdir(), "aura-start-")) });
  for (const list of [code.terminals, code.messages, code.executed]) list.length = 0;
  vi.unstubAllEnvs();
  for (const name of ["VIRTUAL_ENV", "CONDA_PREFIX"]) vi.stubEnv(name, undefined);
  vi.stubEnv("HOME", code.folder);
  vi.stubEnv("PATH", programs("aura"));
});

test("in a workspace that is not trusted nothing is typed, and the way to trust is offered", async () => {
  code.trusted = false;
  await startServer(offline());
  expect(code.terminals).toEqual([]);
  expect(code.messages[0]).toContain("a workspace that you do not trust");
  expect(code.executed).toEqual(["workbench.trust.manage"]);
});

test("the command is typed unchanged, in the workspace's folder, and never with --config", async () => {
  writeFileSync(join(code.folder, "aura.toml"), "");
  await startServer(offline());
  expect(code.terminals.map(({ text, cwd }) => [text, cwd?.fsPath])).toEqual([[["aura serve --port 9"], code.folder]]);
});

test("the folder's files are reported, and the terminal gets the focus for the answer", async () => {
  writeFileSync(join(code.folder, "aura.toml"), "");
  mkdirSync(join(code.folder, "agents"));
  await startServer(offline());
  expect(code.messages).toEqual([expect.stringMatching(/ has an aura\.toml and an agents folder\. Aura asks in the terminal/)]);
  expect(code.messages[0]).toContain(code.folder);
  expect(code.terminals[0]?.focused).toBe(true);
});

test("a folder without such files needs no message", async () => {
  await startServer(offline());
  expect(code.messages).toEqual([]);
  expect(code.terminals[0]?.focused).toBe(false);
});

test("a dangling link counts as a file", () => {
  symlinkSync("/nowhere/at/all", join(code.folder, "agents"));
  expect(folderAsks(code.folder)).toEqual(["agents"]);
});

test("a workspace cannot trust itself by the variables of its terminals", async () => {
  vi.stubEnv("AURA_TRUST", "/home/me/mine");
  vi.stubEnv("AURA_CONFIG", undefined);
  await startServer(offline());
  expect(code.terminals[0]?.env).toEqual({ AURA_CONFIG: null, AURA_TRUST: "/home/me/mine" });
});

test.each([
  "aura serve --config aura.toml",
  "aura serve --config=./aura.toml",
  'aura serve --config "$PWD/aura.toml"',
  "aura serve --agents agents",
  "aura serve --agents",
  "AURA_TRUST=. aura serve",
  "AURA_CONFIG=aura.toml aura serve",
  "aura trust && aura serve",
  "aura trust .; aura serve",
])("%s would trust any folder that is open, and is not typed", async (command) => {
  code.command = command;
  await startServer(offline());
  expect(code.terminals).toEqual([]);
  expect(code.messages[0]).toContain("would trust any folder that is open");
});

test.each([
  "aura serve",
  "uv run aura serve --demo",
  "aura serve --config /home/me/aura.toml --agents ~/agents",
  "aura serve --config='/home/me/aura.toml'",
  "aura serve --config C:\\Users\\me\\aura.toml",
  "AURA_CONFIG=$HOME/aura.toml aura serve",
])("%s is a person's own choice", (command) => {
  expect(trustsByItself(command)).toBeUndefined();
});

test("the program of the active Python environment is used, and the command stays as it is", async () => {
  const environment = mkdtempSync(join(tmpdir(), "aura-env-"));
  symlinkSync(programs("aura"), join(environment, "bin"));
  vi.stubEnv("VIRTUAL_ENV", environment);
  vi.stubEnv("PATH", "/nowhere");
  await startServer(offline());
  expect(code.terminals.map(({ text, env }) => [text, env?.["PATH"]])).toEqual([[["aura serve --port 9"], `${join(environment, "bin")}:/nowhere`]]);
});

test("without the program nothing is typed; it is said what is missing, and how to install it", async () => {
  vi.stubEnv("PATH", "/nowhere");
  code.pressed = "How to Install";
  await startServer(offline());
  expect(code.terminals).toEqual([]);
  expect(code.messages[0]).toContain("'aura' is neither in the active Python environment nor on the PATH of this machine");
  expect(code.executed).toEqual(["markdown.showPreview"]);
});

test("a program that only the folder brings along is started only when the user says so", async () => {
  vi.stubEnv("PATH", "/nowhere");
  mkdirSync(join(code.folder, ".venv"));
  symlinkSync(programs("aura"), join(code.folder, ".venv", "bin"));
  await startServer(offline());
  expect(code.terminals).toEqual([]);
  code.pressed = "Use It";
  await startServer(offline());
  expect(code.terminals[0]?.env?.["PATH"]).toBe(`${join(code.folder, ".venv", "bin")}:/nowhere`);
});

test.each(["uv run aura serve", "/nowhere/aura serve", "X=1 'aura2' serve"])("%s names a program that is missing", async (command) => {
  code.command = command;
  await startServer(offline());
  expect(code.terminals).toEqual([]);
  expect(code.messages[0]).toContain(command.replaceAll("'", "").split(" ").find((word) => !word.includes("="))); // prettier-ignore
});

test("a click while Aura starts shows its terminal; one after it has ended uses the terminal again", async () => {
  const starter = new Starter(offline(), {} as ConstructorParameters<typeof Starter>[1]);
  await starter.start();
  const [terminal] = code.terminals;
  delete terminal?.exitStatus;
  await starter.start();
  expect([code.terminals.length, terminal?.text.length]).toEqual([1, 1]);
  code.ended({ terminal, exitCode: 1 });
  expect(code.messages.at(-1)).toContain("'aura' ended with code 1");
  if (terminal) terminal.exitStatus = { code: 1 }; // so that the third start does not wait
  await starter.start();
  expect([code.terminals.length, terminal?.text.length]).toEqual([1, 2]);
});
