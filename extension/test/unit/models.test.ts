// The agents as language models, and @aura, against a real HTTP server; of VS Code only its classes are simulated.

import { beforeEach, expect, test, vi } from "vitest";
import { registerModels } from "../../src/native/models.js";
import { registerParticipant } from "../../src/native/participant.js";
import { Server } from "../../src/server.js";
import { done, serve, token } from "./upstream.js";

const code = vi.hoisted(() => {
  class LanguageModelTextPart {
    constructor(readonly value: string) {}
  }
  class ChatResponseTurn {}
  class ChatRequestTurn {}
  return {
    LanguageModelTextPart,
    ChatResponseTurn,
    ChatRequestTurn,
    provider: undefined as never as Record<string, (...given: unknown[]) => Promise<unknown>>,
    handler: undefined as never as (...given: unknown[]) => Promise<{ errorDetails?: { message: string } }>,
    models: true,
  };
});

vi.mock("vscode", () => ({
  ...code,
  ChatResponseMarkdownPart: class {},
  Uri: class {},
  Location: class {},
  LanguageModelChatMessageRole: { User: 1, Assistant: 2 },
  EventEmitter: class {
    event = () => {};
    fire() {}
    dispose() {}
  },
  Disposable: { from: () => ({ dispose() {} }) },
  chat: { createChatParticipant: (_: string, handler: typeof code.handler) => ((code.handler = handler), {}) },
  lm: {
    get registerLanguageModelChatProvider() {
      return code.models ? (_: string, provider: typeof code.provider) => (code.provider = provider) : undefined;
    },
  },
}));

const AGENTS = ["aaa", "assistant", "broken"].map((id) => ({ id, name: id.toUpperCase(), description: "", provider: "p", model: "m", streaming: true, error: id === "broken" ? "bad" : null }));
const list = (_: unknown, response: { setHeader(name: string, value: string): { end(text: string): void } }) =>
  response.setHeader("content-type", "application/json").end(JSON.stringify({ agents: AGENTS }));
const client = (url: string) => new Server({ url: () => url, token: () => Promise.resolve(undefined), log: () => {} });
const never = { onCancellationRequested: () => ({ dispose() {} }) };
const message = (role: number, text: string) => ({ role, content: [new code.LanguageModelTextPart(text)] });

beforeEach(() => {
  code.models = true;
});

test("the sound agents are models, the one to begin with first, and none of them runs tools", async () => {
  const { url } = await serve(() => {}, list);
  registerModels(client(url));
  const models = (await code.provider["provideLanguageModelChatInformation"]?.()) as { id: string; name: string; capabilities: object }[];
  expect(models.map(({ id, name }) => [id, name])).toEqual([["assistant", "ASSISTANT"], ["aaa", "AAA"]]); // prettier-ignore
  expect(models[0]?.capabilities).toEqual({ toolCalling: false, imageInput: false });
});

test("a model's messages are the question and its history; its tokens come as they arrive", async () => {
  const { url, requests } = await serve((_, response) => {
    token(response, "one ");
    token(response, "two");
    done(response);
  }, list);
  registerModels(client(url));
  const parts: string[] = [];
  const messages = [message(1, "first"), message(2, "answer"), message(1, "second")];
  const progress = { report: ({ value }: { value: string }) => parts.push(value) };
  await code.provider["provideLanguageModelChatResponse"]?.({ id: "aaa" }, messages, {}, progress, never);
  expect(parts).toEqual(["one ", "two"]);
  expect(requests).toMatchObject([{ agent: "aaa", body: { prompt: "second", conversationHistory: [{ role: "user", content: "first" }, { role: "assistant", content: "answer" }] } }]); // prettier-ignore
});

test("a model that fails says what failed; cancelling closes its connection", async () => {
  let closed = 0;
  const { url } = await serve((_, response) => {
    token(response, "one");
    response.on("close", () => closed++);
  }, list);
  registerModels(client(url));
  let cancel = () => {};
  const cancelled = { onCancellationRequested: (listener: () => void) => ((cancel = listener), { dispose() {} }) };
  await code.provider["provideLanguageModelChatResponse"]?.({ id: "aaa" }, [message(1, "x")], {}, { report: () => cancel() }, cancelled);
  await vi.waitFor(() => expect(closed).toBe(1), 10_000);
  registerModels(client("http://127.0.0.1:9"));
  await expect(code.provider["provideLanguageModelChatResponse"]?.({ id: "aaa" }, [message(1, "x")], {}, {}, never)).rejects.toThrow("Aura cannot be reached");
});

test("an older VS Code has no such models, and nothing is registered", () => {
  code.models = false;
  code.provider = undefined as never;
  registerModels(client("http://127.0.0.1:9"));
  expect(code.provider).toBeUndefined();
});

test("@aura without a server says so, and offers to start it", async () => {
  registerParticipant(client("http://127.0.0.1:9"), {} as Parameters<typeof registerParticipant>[1]);
  const buttons: string[] = [];
  const response = { button: ({ command }: { command: string }) => buttons.push(command) };
  const result = await code.handler({ prompt: "hello", references: [] }, { history: [] }, response, never);
  expect(result.errorDetails?.message).toContain("Aura cannot be reached");
  expect(buttons).toEqual(["aura.startServer"]);
});
