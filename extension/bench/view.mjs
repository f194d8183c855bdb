// Print the frame times of the chat at 500 tokens a second, and how long 1 MB takes to be shown again, in a real workbench.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agents, ask, Aura, install, quantile, Upstream, Workbench } from "./harness.mjs";

const TOKENS = 5000;
const FRAME = 20; // goal in milliseconds, for 95 of 100
const ANSWERS = 10; // of 100,000 characters each
const TIMES = 5; // that the chat is shown again

const SECTION = `## A section

A paragraph with *emphasis*, **weight**, \`code\` and a [link](https://www.example.com/), long enough to fill more than
one line of the side bar, as answers do.

- a first point
- a second point, with \`code\`

\`\`\`python
def answer(question: str) -> str:
    return question.upper()  # as good as any
\`\`\`

| one | two |
| --- | --- |
| 1   | 2   |

`;

const folder = mkdtempSync(join(tmpdir(), "aura-bench-"));
install();
const upstream = await new Upstream().start();
upstream.says = SECTION.repeat(Math.ceil(100_000 / SECTION.length));
const options = agents(folder, upstream);
const paced = { text: SECTION, tokens: TOKENS, tokens_per_second: 500 };
writeFileSync(join(folder, "agents", "paced.md"), `---\nprovider: echo\noptions: ${JSON.stringify(paced)}\n---\n`);
const aura = await new Aura().start(options, folder);
const workbench = new Workbench({ settings: { "aura.server.url": aura.url } });

/** The times between frames while one answer is streamed. */
async function frames() {
  const frame = await workbench.chat();
  await frame.evaluate(() => {
    globalThis.frames_ = [];
    let last = performance.now();
    const next = (now) => {
      globalThis.frames_.push(now - last);
      last = now;
      requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
  });
  await ask(frame, "paced", "go");
  await frame.locator(".answer").last().getByText(/tokens in/).waitFor({ timeout: 120_000 });
  return frame.evaluate(() => globalThis.frames_);
}

/**
 * In each frame that is loaded: note when the newest answer is painted, when all answers are, and the longest task until
 * then. An answer has a footer as soon as all of its text is in the document.
 */
function watch(answers) {
  const shown = (globalThis.shown_ = { newest: 0, all: 0, longest: 0 });
  new PerformanceObserver((list) => {
    if (!shown.all) for (const { duration } of list.getEntries()) shown.longest = Math.max(shown.longest, duration);
  }).observe({ type: "longtask", buffered: true });
  // A frame's callbacks are lost when VS Code writes the document, a timer is not. It runs after the frame that painted.
  const timer = setInterval(() => {
    const all = document.getElementsByClassName("answer");
    if (all.length !== answers || !all[answers - 1].querySelector("footer")) return;
    const now = performance.timeOrigin + performance.now();
    shown.newest ||= now;
    if (document.querySelectorAll(".answer footer").length < answers) return;
    shown.all = now;
    clearInterval(timer);
  }, 10);
}

/** The length of the text of all answers on the page. */
const length = (frame) =>
  frame.evaluate(() => [...document.querySelectorAll(".answer .text")].reduce((sum, text) => sum + text.textContent.length, 0));

/** Hide the side bar and show it again, with a chat of 1 MB in it. */
async function shownAgain() {
  const chat = await workbench.chat();
  await chat.getByRole("button", { name: "New chat" }).click();
  for (let answer = 0; answer < ANSWERS; answer++) await (await ask(chat, "script", "go")).getByText("5 tokens in").waitFor();
  const before = await length(chat);
  await workbench.context.addInitScript(watch, ANSWERS);
  const bar = workbench.page.locator("#workbench\\.parts\\.sidebar");
  const times = [];
  for (let time = 0; time < TIMES; time++) {
    await workbench.page.keyboard.press("Control+b");
    await bar.waitFor({ state: "hidden" });
    const began = Date.now();
    await workbench.page.keyboard.press("Control+b");
    const frame = await workbench.frame(".answer", "workbench.parts.sidebar");
    await frame.waitForFunction(() => globalThis.shown_.all, null, { timeout: 60_000, polling: 100 });
    const { newest, all, longest } = await frame.evaluate(() => globalThis.shown_);
    const now = await length(frame);
    if (now !== before) throw new Error(`${before} characters were on the page, now there are ${now}`);
    times.push({ newest: newest - began, all: all - began, longest });
  }
  return times;
}

try {
  await workbench.start();
  const times = await frames();
  const of = (share) => quantile(times, share).toFixed(1);
  console.log(`frames at 500 tokens/s, ${TOKENS} tokens: p50 ${of(0.5)} ms, p95 ${of(0.95)} ms (goal ${FRAME}), p99 ${of(0.99)} ms`);
  const again = await shownAgain();
  const median = (what) => Math.round(quantile(again.map((time) => time[what]), 0.5));
  console.log(`1 MB shown again, median of ${TIMES}: newest answer ${median("newest")} ms, all ${median("all")} ms, longest task ${median("longest")} ms`);
} finally {
  await workbench.stop();
  await aura.stop();
  await upstream.stop();
  rmSync(folder, { recursive: true, force: true });
}
