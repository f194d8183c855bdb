// Running answers: their owner, their end and their events; also batches and the heartbeat.

import { afterEach, expect, test, vi } from "vitest";
import { newTurn, type Turn } from "../../../aura_core/web/chat.js";
import type { TurnEvent } from "../../../aura_core/web/host-types.js";
import { Batch } from "../../src/batch.js";
import { fenced } from "../../src/fence.js";
import { Heartbeat } from "../../src/heartbeat.js";
import { Server } from "../../src/server.js";
import { Turns } from "../../src/turns.js";
import { serve, token } from "./upstream.js";
import { newChat, newFolder, Window } from "./window.js";

afterEach(() => {
  vi.useRealTimers();
});

class Place {
  events: TurnEvent[] = [];
  receive(event: TurnEvent): void {
    this.events.push(event);
  }
}

async function running() {
  let closed = 0;
  const { url } = await serve((_, response) => {
    token(response, "a beginning");
    response.on("close", () => closed++);
  });
  const server = new Server({ url: () => url, token: () => Promise.resolve(undefined), log: () => {} });
  const { store, files } = new Window(newFolder());
  const ended: Turn[] = [];
  const turns = new Turns(server, store, { changed: () => {}, ended: (turn) => ended.push(turn) });
  const place = new Place();
  const chat = newChat("a");
  const { id: turn } = store.save({ chat, turns: [newTurn(chat, { text: "q" }, { id: "a", model: "a" })] })?.turns?.[0] as Turn;
  const over = turns.start({ turn, agent: "a", prompt: "q", history: [] }, place);
  await vi.waitFor(() => expect(place.events.some(({ type }) => type === "token")).toBe(true), 10_000);
  return { turns, place, turn, over, ended, closed: () => closed, kept: () => files.turn(chat.id, turn), chat: chat.id };
}

test("stopping reports the reason, keeps the text, and closes the connection", async () => {
  const { turns, place, over, closed, kept, ended } = await running();
  turns.stopAll("hidden", place);
  expect(kept()?.answer).toMatchObject({ state: "stopped", text: "a beginning", reason: "hidden" });
  expect(place.events.at(-1)).toMatchObject({ type: "stopped", reason: "hidden" });
  await over;
  await vi.waitFor(() => expect(closed()).toBe(1), 10_000);
  expect(turns.count()).toBe(0);
  expect(place.events.filter(({ type }) => type === "stopped")).toHaveLength(1);
  expect(ended).toHaveLength(1);
});

test("an answer that was moved no longer belongs to its old place, and does not end with it", async () => {
  const { turns, place, turn, over } = await running();
  const tab = new Place();
  expect(turns.move(place, tab)).toEqual([turn]);
  turns.stopAll("the chat was closed", place);
  expect([turns.count(), turns.count(place), turns.count(tab)]).toEqual([1, 0, 1]);
  expect([turns.elsewhere(place), turns.elsewhere(tab)]).toEqual([[turn], []]);
  turns.stop(turn);
  await over;
  expect(tab.events.at(-1)).toMatchObject({ type: "stopped" });
});

test("when its chat is deleted an answer stops, and one of another chat continues", async () => {
  const one = await running();
  const two = await running();
  one.turns.stopChat(two.chat, "the chat was deleted");
  expect(one.turns.count()).toBe(1);
  one.turns.stopChat(one.chat, "the chat was deleted");
  await one.over;
  expect(one.turns.count()).toBe(0);
  two.turns.stopAll();
  await two.over;
});

test("the first item of a batch goes at once, those of the same frame together", () => {
  vi.useFakeTimers();
  const sent: number[][] = [];
  const batch = new Batch<number>((items) => sent.push(items));
  batch.add(1);
  batch.add(2);
  batch.add(3);
  expect(sent).toEqual([[1]]);
  vi.runAllTimers();
  expect(sent).toEqual([[1], [2, 3]]);
  batch.add(4);
  expect(sent).toEqual([[1], [2, 3], [4]]);
});

test("fifteen seconds without a reply mean that the window is gone; a reply in between resets the count", () => {
  vi.useFakeTimers();
  const dead = vi.fn();
  let alive = true;
  const heartbeat: Heartbeat = new Heartbeat(() => alive && heartbeat.replied(), dead);
  heartbeat.start();
  vi.advanceTimersByTime(60_000);
  expect(dead).not.toHaveBeenCalled();
  alive = false;
  vi.advanceTimersByTime(14_000);
  expect(dead).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2_000);
  expect(dead).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(60_000);
  expect(dead).toHaveBeenCalledTimes(1);
});

test("a fence is longer than any in the code", () => {
  expect(fenced("x = 1", "python")).toBe("```python\nx = 1\n```");
  expect(fenced("```\nhi\n````\n", "markdown")).toBe("`````markdown\n```\nhi\n````\n`````");
});
