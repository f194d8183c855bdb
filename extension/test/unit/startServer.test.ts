// Start Aura: when it does not type the command, its message about the folder, and that it never trusts one by itself.

import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { folderAsks, trustsByItself } from "../../src/command.js";
import { Server } from "../../src/server.js";
import { startServer } from "../../src/startServer.js";

interface Typed {
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
}));

vi.mock("vscode", () => {
  const say = (message: string, ...buttons: string[]) => {
    code.messages.push(message);
    return Promise.resolve(buttons.find((button) => button === "Manage Workspace Trust"));
  };
  return {
    ThemeIcon: class {},
    Uri: { joinPath: (uri: object) => uri },
    commands: { executeCommand: (name: string) => Promise.resolve(code.executed.push(name)) },
    window: {
      showWarningMessage: say,
      showInformationMessage: say,
      createTerminal: (options: Typed) => {
        const typed: Typed = { ...options, text: [], focused: false };
        code.terminals.push(typed);
        return { exitStatus: { code: 1 }, show: (kept: boolean) => (typed.focused = !kept), sendText: (text: string) => typed.text.push(text) };
      },
    },
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

beforeEach(() => {
  Object.assign(code, { trusted: true, command: "aura serve", folder: mkdtempSync(join(tmpdir(), "aura-start-")) });
  for (const list of [code.terminals, code.messages, code.executed]) list.length = 0;
  vi.unstubAllEnvs();
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
