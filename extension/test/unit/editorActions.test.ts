// Requests of a webview to the editor: an exported file is saved where the user chooses, whatever name the webview
// gives it.

import { beforeEach, expect, test, vi } from "vitest";
import { exportFile } from "../../src/providers/editorActions.js";

const code = vi.hoisted(() => ({ chosen: undefined as string | undefined, suggested: "", written: {} as Record<string, string>, errors: [] as string[], fails: false }));

vi.mock("vscode", () => ({
  Uri: { joinPath: (uri: { path: string }, name: string) => ({ path: `${uri.path}/${name}` }) },
  window: {
    showSaveDialog: ({ defaultUri }: { defaultUri: { path: string } }) => {
      code.suggested = defaultUri.path;
      return Promise.resolve(code.chosen && { path: code.chosen });
    },
    setStatusBarMessage: () => {},
    showErrorMessage: (message: string) => code.errors.push(message),
  },
  workspace: {
    workspaceFolders: [{ uri: { path: "/workspace" } }],
    asRelativePath: (uri: { path: string }) => uri.path,
    fs: {
      writeFile: (uri: { path: string }, bytes: Uint8Array) => {
        if (code.fails) return Promise.reject(new Error("read only"));
        code.written[uri.path] = new TextDecoder().decode(bytes);
        return Promise.resolve();
      },
    },
  },
}));

beforeEach(() => Object.assign(code, { chosen: undefined, suggested: "", written: {}, errors: [], fails: false }));

test.each([
  ["aura-chat.md", "aura-chat.md"],
  ["../../.ssh/authorized_keys", "authorized_keys"],
  ["/etc/passwd", "passwd"],
  ["..\\..\\evil.md", "evil.md"],
  ["..", "chat"],
  ["a/..", "chat"],
  ["", "chat"],
  ["n".repeat(1_000_000), "n".repeat(120)],
])("the name %s suggests a file in the workspace's folder", async (name, suggested) => {
  await exportFile(name, "text");
  expect(code.suggested).toBe(`/workspace/${suggested}`);
  expect(code.written).toEqual({}); // nobody chose one
});

test("the text is written where the user chooses, and failures are shown", async () => {
  code.chosen = "/elsewhere/mine.md";
  await exportFile("aura.md", "text");
  expect(code.written).toEqual({ "/elsewhere/mine.md": "text" });
  code.fails = true;
  await exportFile("aura.md", "text");
  expect(code.errors).toEqual(["The file could not be written: read only"]);
});
