// Wait until a condition holds; the error names the condition.

export async function eventually(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string) = "it never happened",
  patience = 60_000,
): Promise<void> {
  const end = Date.now() + patience;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(typeof what === "string" ? what : what());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
