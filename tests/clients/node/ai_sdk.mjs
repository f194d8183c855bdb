// What both providers of the AI SDK are asked: text, streamed and whole.
import { generateText, streamText } from "ai";
import { add, HISTORY, play, PROMPT } from "./driver.mjs";

const [{ content: system }, ...messages] = HISTORY;

/** Play all scenarios with the models that `model(url, agent)` makes. */
export async function playAll(model) {
  async function read(said, url, agent) {
    said.text = "";
    let failed;
    const result = streamText({ model: model(url, agent), prompt: PROMPT, onError: ({ error }) => (failed ??= error) });
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") add(said, "text", part.text);
      if (part.type === "reasoning-delta") add(said, "reasoning", part.text);
      if (part.type === "error") failed ??= part.error;
      if (part.type === "finish") {
        said.finish = part.finishReason;
        said.usage = [part.totalUsage.inputTokens, part.totalUsage.outputTokens];
      }
    }
    if (failed) throw failed instanceof Error ? failed : Object.assign(new Error(failed.message ?? JSON.stringify(failed)), { name: "part" });
  }

  async function take(said, url, agent, more = { prompt: PROMPT }) {
    const result = await generateText({ model: model(url, agent), ...more });
    said.text = result.text;
    said.finish = result.finishReason;
    said.usage = [result.totalUsage.inputTokens, result.totalUsage.outputTokens];
  }

  async function cancel({ own }, said) {
    const abort = new AbortController();
    const { textStream } = streamText({ model: model(own, "endless"), prompt: PROMPT, abortSignal: abort.signal });
    for await (const text of textStream) {
      add(said, "text", text);
      abort.abort();
      break;
    }
  }

  await play({
    stream: ({ demo }, said) => read(said, demo, "echo"),
    whole: ({ demo }, said) => take(said, demo, "echo"),
    history: ({ demo }, said) => take(said, demo, "echo", { instructions: system, system, messages }),
    length: ({ demo }, said) => read(said, demo, "cut"),
    usage: ({ demo }, said) => read(said, demo, "echo"),
    reasoning: ({ demo }, said) => read(said, demo, "thinker"),
    "error before": ({ demo }, said) => read(said, demo, "fails-at-once"),
    "error before, whole": ({ demo }, said) => take(said, demo, "fails-at-once"),
    "error in the middle": ({ demo }, said) => read(said, demo, "fails-midway"),
    cut: ({ cut }, said) => read(said, cut, "tour"),
    "rate limit": ({ own }, said) => take(said, own, "limited"),
    cancel,
  });
}
