// A proxy as in a company's network, and a server behind it with a certificate that nobody vouches for.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { createServer as createProxy, request, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer } from "node:https";
import { connect, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class ThroughProxy {
  /** The proxy's address. */
  url = "";
  /** The targets that it was asked for. */
  asked: string[] = [];
  #servers: Server[] = [];

  /** Leads `https://aura.test` to the server at this port, and nothing else. */
  async start(port: number): Promise<this> {
    const folder = mkdtempSync(join(tmpdir(), "aura-proxy-"));
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const subject = ["-subj", "/CN=aura.test", "-addext", "subjectAltName=DNS:aura.test"];
    execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", ...subject], { stdio: "pipe" });
    const secure = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (incoming, outgoing) => pass(incoming, outgoing, port));
    const securePort = await this.#listen(secure);
    const proxy = createProxy((_, response) => void response.writeHead(403).end());
    proxy.on("connect", (incoming, socket) => {
      this.asked.push(incoming.url ?? "");
      socket.on("error", () => socket.destroy());
      if (incoming.url !== "aura.test:443") return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
      const onward = connect(securePort, "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        onward.pipe(socket).pipe(onward);
      });
      onward.on("error", () => socket.destroy());
    });
    this.url = `http://127.0.0.1:${await this.#listen(proxy)}`;
    return this;
  }

  async #listen(server: Server): Promise<number> {
    this.#servers.push(server);
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return (server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) server.close();
  }
}

function pass(incoming: IncomingMessage, outgoing: ServerResponse, port: number): void {
  const headers = { ...incoming.headers, host: `127.0.0.1:${port}` };
  const onward = request({ port, path: incoming.url, method: incoming.method, headers }, (response) => {
    outgoing.writeHead(response.statusCode ?? 502, response.headers);
    response.pipe(outgoing);
  });
  onward.on("error", () => outgoing.destroy());
  outgoing.on("close", () => onward.destroy());
  incoming.pipe(onward);
}
