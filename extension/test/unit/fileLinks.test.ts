// @vitest-environment jsdom
// Which texts of an answer name a file, and how the words of a message are understood.

import { expect, test } from "vitest";
import { fileNamed } from "../../../aura_core/web/file-links.js";
import { addressed, commanded, mentioned } from "../../../aura_core/web/mentions.js";

test.each([
  ["src/app.py", { name: "src/app.py", line: 1 }],
  ["src/app.py:12", { name: "src/app.py", line: 12 }],
  ["src/app.py:12:3", { name: "src/app.py", line: 12 }],
  ["src/app.py#L12-L20", { name: "src/app.py", line: 12 }],
  ["Makefile", null],
  ["two words.py", null],
  ["https://a.b/c", null],
  ["...", null],
  ["a.py".repeat(200), null],
])("%j", (text, named) => {
  expect(fileNamed(text)).toEqual(named);
});

test("only known words name context", () => {
  expect(mentioned("#include <a.h>, #selection. #file:a/b.py, #file: #problems and #selection")).toEqual(["#selection", "#file:a/b.py", "#problems"]);
});

test("an agent and a command are named at the beginning only", () => {
  const agents = [{ id: "Echo" }] as Parameters<typeof addressed>[1];
  expect(addressed(" @echo hello @you", agents)).toMatchObject({ agent: { id: "Echo" }, rest: "hello @you" });
  expect(addressed("hello @echo", agents)).toBeNull();
  expect(addressed("@nobody hello", agents)).toBeNull();
  const commands = [{ name: "new", about: "" }];
  expect(commanded("/new idea", commands)).toMatchObject({ rest: "idea" });
  expect(commanded("/newer", commands)).toBeNull();
});
