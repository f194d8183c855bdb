// Valid workflow files, and the errors of invalid ones, with their lines.

import { expect, test } from "vitest";
import { readWorkflow } from "../../src/workflow/file.js";
import { fill, namesIn } from "../../src/workflow/inputs.js";

function problems(text: string): string[] {
  return readWorkflow(text, "flow").problems.map(({ line, message }) => `${line}: ${message}`);
}

test("a workflow is a name and steps; names may be left out", () => {
  const { workflow } = readWorkflow("steps:\n  - agent: writer\n    prompt: |\n      Two\n      lines\n", "flow");
  expect(workflow).toEqual({ name: "flow", inputs: [], steps: [{ name: "writer", agent: "writer", prompt: "Two\nlines\n", line: 2 }] });
  expect(readWorkflow("name: A\nsteps: [{name: B, agent: c, prompt: d}]", "flow").workflow?.steps[0]?.name).toBe("B");
});

test.each([
  ["", "1: A workflow has a name and steps"],
  ["- a\n", "1: A workflow has a name and steps"],
  ["name: A\n", "1: 'steps' must be a list"],
  ["name: A\nsteps: []\n", "2: 'steps' must be a list"],
  ["name: A\nsteps:\n  - agent: a\n", "3: 'prompt' is missing."],
  ["name: A\nsteps:\n  - agent: a\n    prompt: p\n  - prompt: p\n", "5: 'agent' is missing."],
  ["name: A\nsteps:\n  - agent: a\n    prompt: 7\n", "4: 'prompt' must be text that is not blank."],
  ["name: A\nsteps:\n  - agent: a\n    prompt: ' '\n", "4: 'prompt' must be text that is not blank."],
  ["name: A\nsteps:\n  - agent: a\n    promt: p\n", "4: 'promt' is unknown; the known keys are 'name', 'agent', 'prompt'."],
  ["name: A\nstep: x\nsteps:\n  - {agent: a, prompt: p}\n", "2: 'step' is unknown"],
  ["name: A\nsteps:\n  - just text\n", "3: Step 1 must have an agent and a prompt."],
  ["name: A\nsteps:\n  - agent: [unclosed\n", "This is not valid YAML"],
  ["name: A\nname: B\nsteps:\n  - {agent: a, prompt: p}\n", "2: This is not valid YAML: Map keys must be unique"],
  ["name: A\n\tsteps: []\n", "2: This is not valid YAML"],
])("%j is refused", (text, message) => {
  expect(problems(text).join("\n")).toContain(message);
  expect(readWorkflow(text, "flow").workflow).toBeUndefined();
});

test("every error is reported, in the file's order", () => {
  const text = "name: A\nsteps:\n  - agent: a\n  - prompt: p\n    extra: 1\n";
  expect(problems(text).map((line) => line.slice(0, 3))).toEqual(["3: ", "4: ", "5: "]);
});

test("aliases that would expand without limit are refused", () => {
  const bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nsteps: *b\n";
  expect(readWorkflow(bomb, "flow").workflow).toBeUndefined();
});

test.each([
  ["inputs:\n  - name: a\n  - name: a\nsteps:\n  - {agent: a, prompt: p}\n", "3: The input 'a' is there twice."],
  ["inputs:\n  - name: a\nsteps:\n  - {agent: a, prompt: 'On {{ b }}'}\n", "4: {{b}} is not one of the inputs."],
])("%j is refused: inputs", (text, message) => {
  expect(problems(text).join("\n")).toContain(message);
});

test("without inputs, braces in a prompt are text", () => {
  expect(problems("steps:\n  - {agent: a, prompt: 'Write {{ jinja }}'}\n")).toEqual([]);
});

test("inputs take their places in a prompt, and are not read again", () => {
  expect(namesIn("{{a}} {{ b-c }} {{a}} {{ }} {d}")).toEqual(["a", "b-c"]);
  expect(fill("{{a}} {{ b }} {{c}}", { a: "$& {{b}}", b: "B" })).toBe("$& {{b}} B {{c}}");
  expect(fill("{{constructor}}", {})).toBe("{{constructor}}");
});
