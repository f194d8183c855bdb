// The AI SDK with @ai-sdk/openai-compatible, through Chat Completions.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { playAll } from "./ai_sdk.mjs";

await playAll((url, agent) =>
  createOpenAICompatible({ name: "aura", baseURL: `${url}/v1`, apiKey: "none", includeUsage: true })(agent),
);
