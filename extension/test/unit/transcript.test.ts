// The transcript: whose word counts, what is kept, and how much.

import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newAnswer, newChat, take, type Chat } from "../../../aura_core/web/chat.js";
import { FileMemory } from "../../src/memory.js";
import { MOST, ROOM, Transcript } from "../../src/transcript.js";

function memory(): { again: () => FileMemory; files: () => string[]; folder: () => string } {
  const folder = mkdtempSync(join(tmpdir(), "aura-chats-"));
  const workspace = () => join(folder, readdirSync(folder)[0] ?? "");
  return {
    again: () => new FileMemory(folder, "file:///workspace", (error) => expect.fail(String(error))),
    files: () => readdirSync(workspace()),
    folder: workspace,
  };
}

function chat(text: string): Chat {
  return { ...newChat("echo"), messages: [{ role: "user", text }, newAnswer({ id: "echo", model: "echo" })] };
}

function asked(chats: readonly Chat[]): unknown[] {
  return chats.flatMap(({ messages }) => messages.flatMap((message) => (message.role === "user" ? message.text : [])));
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

test("a chat without messages is forgotten, and an answer that still comes does not bring it back", () => {
  const { again, files } = memory();
  const transcript = new Transcript(again());
  const said = chat("hello");
  transcript.take(copy(said));
  const [known] = transcript.chats;
  transcript.take({ ...said, messages: [] });
  if (known) transcript.changed(known, false);
  expect(new Transcript(again()).chats).toEqual([]);
  expect(files()).toEqual([]);
});

test("two windows keep the chats of both", () => {
  const { again } = memory();
  const [one, two] = [new Transcript(again()), new Transcript(again())];
  one.take(chat("in one"));
  two.take(chat("in two"));
  one.take(chat("in one again"));
  expect(asked(new Transcript(again()).chats).sort()).toEqual(["in one", "in one again", "in two"]);
});

test("the host of a killed window does not write over what the next window went on with", () => {
  const { again } = memory();
  const killed = new Transcript(again());
  killed.take({ ...chat("before the kill"), updated: 1 });
  const next = new Transcript(again());
  const [known] = next.chats;
  if (known) next.take({ ...copy(known), updated: 2, messages: [...known.messages, ...chat("after it").messages] });
  const [old] = killed.chats;
  if (old) killed.changed(old, false); // its heartbeat notices after a while
  expect(asked(new Transcript(again()).chats)).toEqual(["before the kill", "after it"]);
});

test("each place remembers its chat", () => {
  const { again } = memory();
  const transcript = new Transcript(again());
  transcript.show("view", "one");
  transcript.show("tab", "two");
  const next = new Transcript(again());
  expect([next.shown("view"), next.shown("tab")]).toEqual(["one", "two"]);
  next.show("tab", undefined);
  const last = new Transcript(again());
  expect([last.shown("view"), last.shown("tab")]).toEqual(["one", undefined]);
});

test("the oldest chats make room, by number and by size", () => {
  const { again, files } = memory();
  const transcript = new Transcript(again());
  for (let number = 0; number < MOST + 5; number++) transcript.take({ ...chat(`chat ${number}`), updated: number });
  expect(files()).toHaveLength(MOST);
  expect(asked(new Transcript(again()).chats)).toEqual(asked(transcript.chats));
  for (const letter of "abc") transcript.take(chat(letter.repeat(ROOM * 0.4)));
  const kept = new Transcript(again()).chats;
  expect(JSON.stringify(kept).length).toBeLessThan(ROOM * 1.01);
  expect(kept[0]?.messages[0]).toMatchObject({ text: "c".repeat(ROOM * 0.4) });
});

test("what is not ours in the folder is passed over", () => {
  const { again, folder } = memory();
  new Transcript(again()).take(chat("mine"));
  for (const [name, value] of Object.entries({ chat_1: { id: 7 }, chat_2: null, chat_3: "x", view: { a: 1 } })) again().update(name, value);
  again().update("chat_4", { ...chat("elsewhere"), id: "../elsewhere" });
  writeFileSync(join(folder(), "chat_5.json"), '{"id":');
  writeFileSync(join(folder(), "notes.txt"), "");
  const transcript = new Transcript(again());
  expect(asked(transcript.chats)).toEqual(["mine"]);
  expect(transcript.shown("view")).toBeUndefined();
});

test("another workspace has other chats", () => {
  const folder = mkdtempSync(join(tmpdir(), "aura-chats-"));
  const of = (workspace: string) => new Transcript(new FileMemory(folder, workspace, () => {}));
  of("file:///a").take(chat("in a"));
  expect(of("file:///b").chats).toEqual([]);
  expect(of("file:///a").chats).toHaveLength(1);
  expect(readdirSync(folder)).toHaveLength(1);
});
