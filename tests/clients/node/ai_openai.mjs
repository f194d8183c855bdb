// The AI SDK with openai(), through Responses.
import { createOpenAI } from "@ai-sdk/openai";
import { playAll } from "./ai_sdk.mjs";

await playAll((url, agent) => createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" })(agent));
