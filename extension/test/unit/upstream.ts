// A real local HTTP server that speaks Aura's protocol, scripted by the test.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "vitest";

export interface ReceivedRequest {
  agent: string;
  headers: IncomingMessage["headers"];
  body: { prompt: string; additionalContext: string; conversationHistory: unknown[] };
}

const open: Server[] = [];

afterEach(() => {
  for (const server of open.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Answers `POST …/chat/stream` with `stream`, and `GET /api/agents` with `agents`. */
export async function serve(
  stream: (request: ReceivedRequest, response: ServerResponse) => void | Promise<void>,
  agents: (request: IncomingMessage, response: ServerResponse) => void = (_, response) =>
    void response.setHeader("content-type", "application/json").end('{"agents": []}'),
): Promise<{ url: string; requests: ReceivedRequest[] }> {
  const requests: ReceivedRequest[] = [];
  const server = createServer(async (request, response) => {
    if (request.method === "GET") return agents(request, response);
    let body = "";
    for await (const piece of request) body += String(piece);
    const agent = /agents\/([^/]+)\//.exec(request.url ?? "")?.[1] ?? "";
    const one: ReceivedRequest = { agent, headers: request.headers, body: JSON.parse(body) as ReceivedRequest["body"] };
    requests.push(one);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(": ok\n\n");
    await stream(one, response);
  });
  open.push(server);
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

export function token(response: ServerResponse, content: string): void {
  response.write(`event: token\ndata: ${JSON.stringify({ content })}\n\n`);
}

export function done(response: ServerResponse): void {
  response.end('event: done\ndata: {"totalTokens": 3, "finishReason": "stop"}\n\n');
}

export function failed(response: ServerResponse): void {
  response.end('event: error\ndata: {"message": "It broke", "code": "llm_error"}\n\n');
}
