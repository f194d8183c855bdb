// The inputs of a workflow: asked for when it starts, and put into its prompts where they say `{{name}}`.

export interface Input {
  name: string;
  /** What the user is asked. */
  prompt: string;
  default: string;
}

/** The values of a run's inputs, by name. */
export type Values = Readonly<Record<string, string>>;

/** The limit keeps the pattern linear over any text. */
const PLACE = /\{\{ {0,9}([A-Za-z_][\w-]{0,99}) {0,9}\}\}/g;

/** The names in a prompt, each once. */
export function namesIn(prompt: string): string[] {
  return [...new Set([...prompt.matchAll(PLACE)].map(([, name = ""]) => name))];
}

/** The prompt with the values in their places. Values are text: what they contain is not looked at again. */
export function fill(prompt: string, values: Values): string {
  return prompt.replace(PLACE, (place, name: string) => (Object.hasOwn(values, name) ? (values[name] ?? "") : place));
}
