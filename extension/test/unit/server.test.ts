// The connection to the server: its requests, their targets, and unexpected responses.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import type { TurnEvent } from "../../../aura_core/web/host-types.js";
import { commandLine, isLocal } from "../../src/command.js";
import { origin, Server } from "../../src/server.js";
import { describe } from "../../src/statusBar.js";
import { done, serve, token } from "./upstream.js";

vi.mock("vscode", () => ({}));

function client(url: string, tokens: Record<string, string> = {}, patience = 30_000): Server {
  return new Server({ url: () => url, token: (server) => Promise.resolve(tokens[server]), log: () => {}, patience });
}

test("the token goes to its own server only", async () => {
  const { url, requests } = await serve((_, response) => done(response));
  await client(url, { [url]: "s3cret" }).turn({ agent: "a", prompt: "p" }, () => {}, new AbortController().signal);
  await client(url, { "http://127.0.0.1:1": "s3cret" }).turn({ agent: "a", prompt: "p" }, () => {}, new AbortController().signal);
  expect(requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer s3cret", undefined]);
});

test("a redirect is not followed, so that no token and no prompt leaves for another host", async () => {
  const other = await serve((_, response) => done(response));
  const { url } = await serve(
    () => {},
    (_, response) => void response.writeHead(307, { location: `${other.url}/api/agents` }).end(),
  );
  const state = await client(url, { [url]: "s3cret" }).look();
  expect(state).toMatchObject({ kind: "offline", failure: { code: "unreachable" } });
});

test("aborting a turn closes its connection", async () => {
  const closed = vi.fn();
  const { url } = await serve((_, response) => {
    token(response, "x");
    response.on("close", closed);
  });
  const abort = new AbortController();
  const events: TurnEvent[] = [];
  const receive = (event: TurnEvent) => {
    events.push(event);
    if (event.type === "token") abort.abort();
  };
  await client(url).turn({ agent: "a", prompt: "p", context: "c" }, receive, abort.signal);
  expect(events.map(({ type }) => type)).toEqual(["open", "token", "stopped"]);
  await vi.waitFor(() => expect(closed).toHaveBeenCalled(), 10_000);
});

test("no server, another server, a silent server and one that requires a token are distinguished", async () => {
  expect(await client("http://127.0.0.1:9").look()).toMatchObject({ failure: { code: "unreachable" } });
  expect(await client("ftp://nowhere").look()).toMatchObject({ failure: { message: expect.stringContaining("aura.server.url") } });
  const html = await serve(() => {}, (_, response) => void response.setHeader("content-type", "text/html").end("<p>"));
  expect(await client(html.url).look()).toMatchObject({ failure: { code: "not_aura" } });
  const list = await serve(() => {}, (_, response) => void response.setHeader("content-type", "application/json").end("{}"));
  expect(await client(list.url).look()).toMatchObject({ failure: { code: "not_aura" } });
  const silent = await serve(() => {}, () => {});
  expect(await client(silent.url, {}, 500).look()).toMatchObject({ failure: { code: "unreachable" } });
  const locked = await serve(() => {}, (_, response) => {
    response.writeHead(401, { "content-type": "application/problem+json" });
    response.end('{"code": "unauthorized", "detail": "A token is required."}');
  });
  const state = await client(locked.url).look();
  expect(state).toMatchObject({ failure: { code: "unauthorized" } });
  expect(describe(state, 0)).toMatchObject({ icon: "key", text: "Aura: token" });
});

test("a change is reported once", async () => {
  const { url } = await serve(() => {});
  const server = client(url);
  const told = vi.fn();
  server.onChange(told);
  await Promise.all([server.look(), server.look()]);
  await server.look();
  expect(told).toHaveBeenCalledTimes(1);
  expect(server.state).toEqual({ kind: "online", agents: [] });
});

test("an address is scheme, host and port", () => {
  expect(origin("http://127.0.0.1:5300/")).toBe("http://127.0.0.1:5300");
  expect(origin("https://user:secret@aura.example/x?y")).toBe("https://aura.example");
  expect(() => origin("127.0.0.1:5300")).toThrow("aura.server.url");
});

test("Start Aura types the port that the address has", () => {
  expect(commandLine("aura serve", new URL("http://127.0.0.1:5300"))).toBe("aura serve");
  expect(commandLine("aura serve", new URL("http://localhost:6000"))).toBe("aura serve --port 6000");
  expect(commandLine("aura serve --port 7000", new URL("http://localhost:6000"))).toBe("aura serve --port 7000");
  expect(["http://localhost", "http://127.9.9.9:1", "http://[::1]:2"].every((url) => isLocal(new URL(url)))).toBe(true);
  expect(["http://127.0.0.1.example", "http://10.0.0.1"].some((url) => isLocal(new URL(url)))).toBe(false);
});

test("a turn tells who is asked instead of a provider that does not answer", async () => {
  const { url } = await serve((_, response) => {
    response.write(": ping\n\n: asking ollama\n\n: something else\n\n");
    token(response, "hello");
    done(response);
  });
  const received: unknown[] = [];
  await client(url).turn({ agent: "steady", prompt: "Hello" }, (event) => received.push(event), new AbortController().signal);
  expect(received).toEqual([
    { type: "open" },
    { type: "asking", provider: "ollama" },
    { type: "token", content: "hello" },
    { type: "done", totalTokens: 3, finishReason: "stop" },
  ]);
});

test("a failed turn and one that succeeds against expectation make it look again; a wrong token is called that", async () => {
  let locked = true;
  const upstream = createServer((request, response) => {
    if (locked) {
      response.writeHead(401, { "content-type": "application/problem+json" });
      response.end('{"code": "unauthorized", "detail": "Send the header."}');
    } else if (request.method === "GET") {
      response.setHeader("content-type", "application/json").end('{"agents": []}');
    } else {
      response.writeHead(200, { "content-type": "text/event-stream" });
      done(response);
    }
  });
  await new Promise<void>((listening) => upstream.listen(0, "127.0.0.1", listening));
  onTestFinished(() => void upstream.close());
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const server = client(url, { [url]: "old" });
  const states: string[] = [];
  server.onChange((state) => states.push(state.kind === "offline" ? state.failure.code : state.kind));
  const events: TurnEvent[] = [];
  await server.turn({ agent: "a", prompt: "p" }, (event) => events.push(event), new AbortController().signal);
  expect(events).toMatchObject([{ type: "error", code: "wrong_token" }]);
  await vi.waitFor(() => expect(states).toEqual(["wrong_token"]), 10_000);
  expect(describe(server.state, 0)).toMatchObject({ text: "Aura: wrong token" });
  locked = false;
  await server.turn({ agent: "a", prompt: "p" }, () => {}, new AbortController().signal);
  await vi.waitFor(() => expect(states).toEqual(["wrong_token", "online"]), 10_000);
});
