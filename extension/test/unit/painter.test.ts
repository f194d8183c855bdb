// @vitest-environment jsdom
// Painting of answers: within the time of a frame, for the page and for the workflow panel.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { AnswerView } from "../../../aura_core/web/answer.js";
import { Painter } from "../../../aura_core/web/painter.js";

let now = 0;
let frames: (() => void)[] = [];

beforeEach(() => {
  now = 0;
  frames = [];
  vi.stubGlobal("requestAnimationFrame", (paint: () => void) => frames.push(paint));
  vi.spyOn(performance, "now").mockImplementation(() => now);
});
afterEach(() => vi.restoreAllMocks());

function frame(): void {
  const due = frames;
  frames = [];
  for (const paint of due) paint();
}

/** An answer that takes this many milliseconds in each of so many frames. */
function view(name: string, painted: string[], milliseconds: number, times: number): AnswerView {
  const paint = (): boolean => {
    painted.push(name);
    now += milliseconds;
    return --times > 0;
  };
  return { paint } as unknown as AnswerView;
}

test("what does not fit into a frame waits for the next one; the last answer comes first", () => {
  const painted: string[] = [];
  const painter = new Painter((paint) => paint());
  painter.add(view("short", painted, 1, 1));
  painter.add(view("long", painted, 9, 2));
  expect(frames).toHaveLength(1);
  frame();
  expect(painted).toEqual(["long"]);
  frame();
  expect(painted).toEqual(["long", "long"]);
  frame();
  expect(painted).toEqual(["long", "long", "short"]);
  expect(frames).toEqual([]);
});

test("a view that has left the page is not painted", () => {
  const painted: string[] = [];
  const painter = new Painter((paint) => paint());
  const gone = view("gone", painted, 1, 1);
  painter.add(gone);
  painter.remove(gone);
  frame();
  expect(painted).toEqual([]);
});

test("each frame is painted within the given function, which can keep the reader's place", () => {
  const painted: string[] = [];
  const painter = new Painter((paint) => {
    painted.push("before");
    paint();
    painted.push("after");
  });
  painter.add(view("answer", painted, 1, 1));
  frame();
  expect(painted).toEqual(["before", "answer", "after"]);
});
