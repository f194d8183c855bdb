// Format code as a Markdown block with a fence longer than any in the code itself.

export function fenced(code: string, language: string): string {
  let longest = 2;
  for (const [run] of code.matchAll(/`{3,}/g)) longest = Math.max(longest, run.length);
  const fence = "`".repeat(longest + 1);
  const end = code.endsWith("\n") ? "" : "\n";
  return `${fence}${language === "plaintext" ? "" : language}\n${code}${end}${fence}`;
}
