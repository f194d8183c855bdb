// The openai SDK for JavaScript, through Chat Completions.
import OpenAI from "openai";
import { add, HISTORY, play, PROMPT } from "./driver.mjs";

function create(url, model, more = {}) {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
  return client.chat.completions.create({ model, messages: [{ role: "user", content: PROMPT }], ...more });
}

async function read(said, url, model, more = {}) {
  said.text = "";
  for await (const chunk of await create(url, model, { stream: true, ...more })) {
    if (chunk.usage) said.usage = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens];
    for (const choice of chunk.choices) {
      add(said, "text", choice.delta.content);
      add(said, "reasoning", choice.delta.reasoning_content);
      said.finish = choice.finish_reason ?? said.finish;
    }
  }
}

async function take(said, url, model, more) {
  const whole = await create(url, model, more);
  said.text = whole.choices[0].message.content;
  said.finish = whole.choices[0].finish_reason;
  said.usage = [whole.usage.prompt_tokens, whole.usage.completion_tokens];
}

async function cancel({ own }, said) {
  const stream = await create(own, "endless", { stream: true });
  for await (const chunk of stream) {
    add(said, "text", chunk.choices[0].delta.content);
    if (said.text) break; // which aborts the request
  }
}

async function models({ demo }, said) {
  const client = new OpenAI({ baseURL: `${demo}/v1`, apiKey: "none" });
  said.models = [];
  for await (const model of client.models.list()) said.models.push(model.id);
  said.models.sort();
  said.text = (await client.models.retrieve("echo")).id;
}

await play({
  stream: ({ demo }, said) => read(said, demo, "echo"),
  whole: ({ demo }, said) => take(said, demo, "echo"),
  history: ({ demo }, said) => take(said, demo, "echo", { messages: HISTORY }),
  length: ({ demo }, said) => read(said, demo, "cut"),
  usage: ({ demo }, said) => read(said, demo, "echo", { stream_options: { include_usage: true } }),
  reasoning: ({ demo }, said) => read(said, demo, "thinker"),
  "error before": ({ demo }, said) => read(said, demo, "fails-at-once"),
  "error before, whole": ({ demo }, said) => take(said, demo, "fails-at-once"),
  "error in the middle": ({ demo }, said) => read(said, demo, "fails-midway"),
  cut: ({ cut }, said) => read(said, cut, "tour"),
  "rate limit": ({ own }, said) => take(said, own, "limited"),
  cancel,
  models,
});
