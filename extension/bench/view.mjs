// Print frame times of the chat at 500 tokens a second, and how long a chat of 1 MB takes until it is shown again.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agents, ask, Aura, install, quantile, Upstream, Workbench } from "./harness.mjs";

const TOKENS = 5000;
const ANSWERS = 10; // of 100,000 characters each
const TIMES = 6; // that the chat is shown again
const PATIENCE = 20_000; // milliseconds until all of it is painted
const FRAME = 20; // goal in milliseconds, for 95 of 100

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
const END = "That was all.";

const folder = mkdtempSync(join(tmpdir(), "aura-bench-"));
install();
const upstream = await new Upstream().start();
upstream.says = SECTION.repeat(Math.ceil(100_000 / SECTION.length)) + END;
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

/** In each frame that is loaded: note when the end of the chat is painted, and when all of it is. */
function watch([answers, end]) {
  const look = () => {
    const texts = document.querySelectorAll(".answer .text");
    const done = (text) => text.lastElementChild?.textContent === end;
    if (texts.length >= answers && done(texts[texts.length - 1])) {
      globalThis.endShown_ ??= performance.timeOrigin + performance.now();
      if ([...texts].every(done)) {
        globalThis.allShown_ = performance.timeOrigin + performance.now();
        return;
      }
    }
    // The frame that paints it is over when a task after it runs.
    requestAnimationFrame(() => setTimeout(look));
  };
  look();
}

try {
  await workbench.start();
  const times = await frames();
  const of = (share) => quantile(times, share).toFixed(1);
  console.log(`frames at 500 tokens/s, ${TOKENS} tokens: p50 ${of(0.5)} ms, p95 ${of(0.95)} ms (goal ${FRAME}), p99 ${of(0.99)} ms`);

  const chat = await workbench.chat();
  await chat.getByRole("button", { name: "New chat" }).click();
  for (let answer = 0; answer < ANSWERS; answer++) {
    await ask(chat, "script", "go");
    await chat.locator(".answer").nth(answer).getByText("5 tokens in").waitFor();
  }
  await workbench.context.addInitScript(watch, [ANSWERS, END]);
  const bar = workbench.page.locator("#workbench\\.parts\\.sidebar");
  const shown = { end: [], all: [] };
  for (let time = 0; time < TIMES; time++) {
    await workbench.page.keyboard.press("Control+b");
    await bar.waitFor({ state: "hidden" });
    const began = Date.now();
    await workbench.page.keyboard.press("Control+b");
    const frame = await workbench.frame(".answer", "workbench.parts.sidebar");
    await frame.waitForFunction(() => globalThis.allShown_, null, { timeout: PATIENCE }).catch(() => {});
    const [end, all] = await frame.evaluate(() => [globalThis.endShown_, globalThis.allShown_]);
    shown.end.push(end - began);
    shown.all.push((all ?? Infinity) - began);
    if (!all) break; // it would be as slow again
  }
  for (const [what, values] of Object.entries(shown)) {
    const of = (share) => Math.round(quantile(values, share));
    console.log(`1 MB shown again, until ${what === "end" ? "its end" : "all of it"} is painted: median ${of(0.5)} ms, p95 ${of(0.95)} ms`);
  }
} finally {
  await workbench.stop();
  await aura.stop();
  await upstream.stop();
  rmSync(folder, { recursive: true, force: true });
}
