// Suggestions for words that name context, when VS Code's search for files fails or takes long.

import { afterEach, beforeEach, expect, test, vi } from "vitest";

const findFiles = vi.hoisted(() => vi.fn());
vi.mock("vscode", () => ({
  workspace: { findFiles, asRelativePath: (name: string) => name, onDidSaveTextDocument: () => {} },
  window: {},
  languages: {},
}));

let words: (typeof import("../../src/mentions.js"))["words"];

beforeEach(async () => {
  vi.useFakeTimers();
  vi.resetModules();
  ({ words } = await import("../../src/mentions.js"));
});
afterEach(() => vi.useRealTimers());

const suggested = async (begun: string) => (await words(begun)).map(({ word }) => word);

test("a search that fails takes no other suggestion away", async () => {
  findFiles.mockRejectedValue(new Error("no search program"));
  expect(await suggested("#sel")).toEqual(["#selection"]);
});

test("a search that takes long holds nothing up, and a later key finds its result", async () => {
  let found: (names: string[]) => void = () => {};
  findFiles.mockReset().mockReturnValue(new Promise((resolve) => (found = resolve)));
  const first = suggested("#se");
  await vi.advanceTimersByTimeAsync(1000);
  expect(await first).toEqual(["#selection"]);
  await vi.advanceTimersByTimeAsync(20_000);
  found(["src/server.py"]);
  expect(await suggested("#ser")).toEqual(["#file:src/server.py"]);
  expect(findFiles).toHaveBeenCalledTimes(1);
});
