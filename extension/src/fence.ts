// Code as a Markdown block whose fence is longer than any in the code itself.

export function fenced(code: string, language: string): string {
  const longest = Math.max(2, ...(code.match(/`{3,}/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language === "plaintext" ? "" : language}\n${code.replace(/\n?$/, "\n")}${fence}`;
}
