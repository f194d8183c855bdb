// Print the milliseconds from the click on Send to the first painted token, in a real workbench with `echo`.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Aura, install, quantile, Workbench } from "./harness.mjs";

const GOALS = { cold: 500, warm: 150 };
const WARM = 20;

/** Send in the page itself, and wait for the frame after the one in which the text is there. */
async function measure(frame, text) {
  await frame.getByLabel("Message").fill(text);
  return frame.evaluate(
    (wanted) =>
      new Promise((done) => {
        const log = document.querySelector(".messages");
        const began = performance.now();
        const observer = new MutationObserver(() => {
          if (!log.lastElementChild?.querySelector(".text")?.textContent?.includes(wanted)) return;
          observer.disconnect();
          requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
        });
        observer.observe(log, { childList: true, subtree: true, characterData: true });
        document.querySelector(".send").click();
      }),
    text,
  );
}

install();
const folder = mkdtempSync(join(tmpdir(), "aura-bench-"));
const aura = await new Aura().start(["--demo", "--port", "0"], folder);
const workbench = new Workbench({ settings: { "aura.server.url": aura.url } });
try {
  await workbench.start();
  const frame = await workbench.chat();
  await frame.locator('option[value="echo"]').waitFor({ state: "attached" });
  await frame.getByLabel("Agent", { exact: true }).selectOption("echo");
  const cold = await measure(frame, "first0");
  const warm = [];
  for (let turn = 1; turn <= WARM; turn++) {
    await frame.locator(".answer").last().getByText(/tokens in/).waitFor();
    warm.push(await measure(frame, `first${turn}`));
  }
  const of = (share) => Math.round(quantile(warm, share));
  console.log(`click to first painted token: cold ${Math.round(cold)} ms (goal ${GOALS.cold})`);
  console.log(`warm, ${WARM} turns: median ${of(0.5)} ms, p95 ${of(0.95)} ms (goal ${GOALS.warm})`);
} finally {
  await workbench.stop();
  await aura.stop();
  rmSync(folder, { recursive: true, force: true });
}
