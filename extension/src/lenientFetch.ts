// `fetch` for a server whose certificate is not verified: where VS Code's setting `http.proxyStrictSSL` is off.

import { request } from "node:https";
import { Readable } from "node:stream";

/** VS Code routes this through the proxy of its settings, like `fetch`; only `fetch` ignores that the user allows any certificate. */
export const lenientFetch: typeof fetch = (input, { method = "GET", headers, body, signal, redirect } = {}) =>
  new Promise((resolve, reject) => {
    const options = { method, headers: Object.fromEntries(new Headers(headers)), rejectUnauthorized: false, ...(signal ? { signal } : {}) };
    const call = request(new URL(String(input)), options, (message) => {
      const { statusCode: status = 502 } = message;
      if (status >= 300 && status < 400 && redirect === "error") {
        message.destroy();
        reject(new TypeError("fetch failed: the server redirects"));
        return;
      }
      const pairs = Object.entries(message.headersDistinct).flatMap(([name, values = []]) => values.map((value): [string, string] => [name, value]));
      const empty = status === 204 || status === 304;
      resolve(new Response(empty ? null : (Readable.toWeb(message) as ReadableStream), { status, headers: pairs }));
    });
    call.on("error", reject);
    call.end(typeof body === "string" ? body : undefined);
  });
