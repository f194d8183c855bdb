// The transcript: whose word counts, what is kept, and how much.

import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newAnswer, newChat, take, type Chat } from "../../../aura_core/web/chat.js";
import { FileMemory } from "../../src/memory.js";
import { MOST, ROOM, Transcript } from "../../src/transcript.js";

function memory(): { again: () => FileMemory } {
  const folder = mkdtempSync(join(tmpdir(), "aura-chats-"));
  return { again: () => new FileMemory(folder, "file:///workspace", (error) => expect.fail(String(error))) };
}

function chat(text: string): Chat {
  return { ...newChat("echo"), messages: [{ role: "user", text }, newAnswer({ id: "echo", model: "echo" })] };
}

function copy<T>(value: T): T {
  return structuredClone(value);
}

test("a chat is there again after a restart, and its running answer is marked as stopped", () => {
  const { again } = memory();
  const said = chat("hello");
  new Transcript(again()).take(said);
  const [kept] = new Transcript(again()).chats;
  expect(kept?.messages[0]).toEqual({ role: "user", text: "hello" });
  expect(kept?.messages[1]).toMatchObject({ state: "stopped", reason: "the window was closed" });
});

test("an answer stays as the extension host heard it, whatever a view saves", () => {
  const transcript = new Transcript(memory().again());
  const said = chat("hello");
  transcript.take(copy(said));
  const [, answer] = said.messages;
  const turn = answer && "turn" in answer ? answer.turn : "";
  const found = transcript.find(turn);
  if (found) take(found.answer, { type: "token", content: "the whole text" });
  transcript.take(copy(said)); // a view that knows nothing of the text
  expect(transcript.find(turn)?.answer.text).toBe("the whole text");
  expect(transcript.find(turn)?.answer).toBe(found?.answer);
});

test("a chat without messages is forgotten", () => {
  const { again } = memory();
  const transcript = new Transcript(again());
  const said = chat("hello");
  transcript.take(copy(said));
  transcript.take({ ...said, messages: [] });
  expect(new Transcript(again()).chats).toEqual([]);
});

test("the oldest chats make room, by number and by size", () => {
  const { again } = memory();
  const transcript = new Transcript(again());
  for (let number = 0; number < MOST + 5; number++) transcript.take(chat(`chat ${number}`));
  expect(new Transcript(again()).chats).toHaveLength(MOST);
  for (const letter of "abc") transcript.take(chat(letter.repeat(ROOM * 0.4)));
  const kept = new Transcript(again()).chats;
  expect(JSON.stringify(kept).length).toBeLessThan(ROOM * 1.01);
  expect(kept[0]?.messages[0]).toMatchObject({ text: "c".repeat(ROOM * 0.4) });
});

test("what is not ours in the file is passed over", () => {
  const { again } = memory();
  const file = again();
  file.update("chats", [{ id: 7 }, null, chat("mine")]);
  expect(new Transcript(again()).chats).toHaveLength(1);
  file.update("chats", "nonsense");
  expect(new Transcript(again()).chats).toEqual([]);
});

test("another workspace has other chats", () => {
  const folder = mkdtempSync(join(tmpdir(), "aura-chats-"));
  const of = (workspace: string) => new Transcript(new FileMemory(folder, workspace, () => {}));
  of("file:///a").take(chat("in a"));
  expect(of("file:///b").chats).toEqual([]);
  expect(of("file:///a").chats).toHaveLength(1);
  expect(readdirSync(folder)).toHaveLength(1);
});
