// A full disk: unsaved data is reported and kept in memory, stored data is not lost, and everything is written once
// there is room.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { newTurn, take } from "../../../aura_core/web/chat.js";
import { migrate } from "../../src/storage/migrate.js";
import { AGENT, newChat, newFolder, Window } from "./window.js";

/** Bytes that still fit. As on a real disk, a part of a write may fit. */
const disk = vi.hoisted(() => ({ room: Infinity }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const full = () => Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  const fit = (handle: number, bytes: Buffer) => {
    const written = fs.writeSync(handle, bytes.subarray(0, Math.min(bytes.length, disk.room)));
    disk.room -= written;
    return written;
  };
  return {
    ...fs,
    writeFileSync: (to: number | string, text: string) => {
      if (typeof to === "string") return fs.writeFileSync(to, text);
      const bytes = Buffer.from(text);
      if (fit(to, bytes) < bytes.length) throw full();
    },
    writeSync: (handle: number, bytes: Buffer) => {
      if (disk.room <= 0) throw full();
      return fit(handle, bytes);
    },
  };
});

beforeEach(() => {
  disk.room = Infinity;
  vi.useFakeTimers();
});

afterEach(() => {
  disk.room = Infinity;
  vi.useRealTimers();
});

test("unsaved data is reported at once with its chats, and still shown; stored data is not lost", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const [before, after] = [newChat("echo"), newChat("echo")];
  one.say(before, "before", "b".repeat(100_000));
  disk.room = 0;
  one.say(after, "while it was full");
  one.say(before, "in an older chat");
  expect(one.troubles.at(-1)).toMatchObject({
    message: "Chats are not stored now: the disk is full. Unsaved chats are lost when this window is closed.",
    unkept: [after.id, before.id],
  });
  expect(one.questions).toEqual({ before: ["before", "in an older chat"], "while it was full": ["while it was full"] });
  expect(new Window(folder).questions).toEqual({ before: ["before"] });
});

test("when there is space again, everything is written automatically, and that is reported", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const chat = newChat("echo");
  disk.room = 0;
  one.say(chat, "first");
  one.store.keepDraft(chat.id, "a draft");
  vi.advanceTimersByTime(60_000);
  expect(one.troubles).toHaveLength(1); // it is said once
  disk.room = Infinity;
  vi.advanceTimersByTime(6000);
  expect(one.troubles.at(-1)).toEqual({ message: "", unkept: [], detail: "" });
  const next = new Window(folder);
  expect(next.questions).toEqual({ first: ["first"] });
  expect(next.store.open(chat.id).draft).toBe("a draft");
});

test("wherever a disk gets full, nothing is torn: stored data remains, and everything is written once there is space", () => {
  for (const room of [0, 1, 10, 100, 200, 300, 400, 500, 600, 700, 800, 1000, 1200, 1500, 2000]) {
    disk.room = Infinity;
    const folder = newFolder();
    const one = new Window(folder);
    const chat = newChat("echo");
    one.say(chat, "kept");
    disk.room = room;
    one.say(chat, "second");
    one.say(chat, "third");
    one.store.save({ chat: { id: chat.id, title: "renamed", renamed: true } });
    const { damaged, turns } = new Window(folder).store.open(chat.id);
    expect([turns.some(({ question }) => question.text === "kept"), (damaged ?? 0) < 3]).toEqual([true, true]);
    expect(one.asked(chat.id)).toEqual(["kept", "second", "third"]);
    disk.room = Infinity;
    vi.advanceTimersByTime(6000);
    const next = new Window(folder);
    expect(next.questions).toEqual({ renamed: ["kept", "second", "third"] });
    expect(next.store.trouble.message).toBe("");
    expect(readdirSync(join(folder, chat.id)).filter((name) => name.startsWith("."))).toEqual([]);
    one.store.dispose();
  }
});

test("an answer that was running when the disk got full is stored with its end", () => {
  const folder = newFolder();
  const one = new Window(folder);
  const chat = newChat("echo");
  const turn = one.ask(chat, "q");
  disk.room = 0;
  take(turn.answer, { type: "token", content: "all of it" });
  one.store.updated(turn);
  vi.advanceTimersByTime(2000);
  expect(one.troubles.at(-1)?.unkept).toEqual([chat.id]);
  take(turn.answer, { type: "done", totalTokens: 3, finishReason: "stop" });
  one.store.updated(turn);
  disk.room = Infinity;
  vi.advanceTimersByTime(6000);
  expect(new Window(folder).store.open(chat.id).turns).toMatchObject([{ answer: { state: "done", text: "all of it" } }]);
});

test("a late listener gets the error, too", () => {
  const one = new Window(newFolder());
  disk.room = 0;
  one.say(newChat("echo"), "q");
  const trouble = vi.fn();
  one.store.audience = { changed: () => {}, stop: () => {}, trouble };
  expect(trouble).toHaveBeenCalledWith(one.store.trouble);
});

test("chats of version 0.1 that do not fit are not changed, and are imported later", () => {
  const folder = newFolder();
  const turn = newTurn(newChat("echo"), { text: "" }, AGENT);
  const old = { id: turn.chat, agent: "echo", updated: 5, messages: [{ role: "user", text: "old" }, { ...turn.answer, text: "answer", state: "done" }] };
  const path = join(folder, `chat_${old.id}.json`);
  writeFileSync(path, JSON.stringify(old));
  disk.room = 100;
  expect(migrate(new Window(folder).files)).toBe(1);
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(old);
  disk.room = Infinity;
  expect(migrate(new Window(folder).files)).toBe(0);
  expect(new Window(folder).questions).toEqual({ old: ["old"] });
});
