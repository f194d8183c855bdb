// Print the frame times of the chat at 500 tokens a second, in a real workbench.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { agents, ask, Aura, install, quantile, Upstream, Workbench } from "./harness.mjs";

const TOKENS = 5000;
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

const folder = mkdtempSync(join(tmpdir(), "aura-bench-"));
install();
const upstream = await new Upstream().start();
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

try {
  await workbench.start();
  const times = await frames();
  const of = (share) => quantile(times, share).toFixed(1);
  console.log(`frames at 500 tokens/s, ${TOKENS} tokens: p50 ${of(0.5)} ms, p95 ${of(0.95)} ms (goal ${FRAME}), p99 ${of(0.99)} ms`);
} finally {
  await workbench.stop();
  await aura.stop();
  await upstream.stop();
  rmSync(folder, { recursive: true, force: true });
}
