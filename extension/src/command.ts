// The command line that starts a server at the address of the settings.

/** Aura's own port. */
const PORT = "5300";

export function isLocal({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

/** The command, with the port of the address when that is not Aura's own and the command names none. */
export function commandLine(command: string, url: URL): string {
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  return port === PORT || /(^|\s)--port\b/.test(command) ? command : `${command} --port ${port}`;
}
