// The JSON schema of workflows, for editors that read it: its verdicts are those of our own reader.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { INPUT_NAME, MOST, MOST_INPUTS, OF_FILE, OF_INPUT, OF_STEP, readWorkflow } from "../../src/workflow/file.js";

const schema = JSON.parse(readFileSync(join(import.meta.dirname, "../../schemas/workflow.schema.json"), "utf8"));
const valid = new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);
const STEPS = "steps:\n  - {agent: a, prompt: p}\n";

test.each([
  STEPS,
  `name: A\n${STEPS}`,
  `name:\ninputs:\n${STEPS}`,
  "inputs: [{name: topic, prompt: What?, default: this}]\nsteps: [{agent: a, prompt: 'On {{topic}}', name: S}]",
])("%j is valid for both", (text) => {
  expect([readWorkflow(text, "w").problems, valid(parse(text))]).toEqual([[], true]);
});

test.each([
  "",
  "- a\n",
  "name: A\n",
  "steps: []\n",
  "steps:\n  - agent: a\n",
  "steps:\n  - {agent: a, prompt: 7}\n",
  "steps:\n  - {agent: a, prompt: ' '}\n",
  "steps:\n  - {agent: a, promt: p, prompt: p}\n",
  "steps:\n  - just text\n",
  `step: x\n${STEPS}`,
  `inputs: text\n${STEPS}`,
  `inputs: [text]\n${STEPS}`,
  `inputs: [{prompt: What?}]\n${STEPS}`,
  `inputs: [{name: two words}]\n${STEPS}`,
  `inputs: [{name: a, choices: b}]\n${STEPS}`,
  `name: 7\n${STEPS}`,
  `steps:\n${"  - {agent: a, prompt: p}\n".repeat(MOST + 1)}`,
  `inputs:\n${Array.from({ length: MOST_INPUTS + 1 }, (_, number) => `  - {name: a${number}}\n`).join("")}${STEPS}`,
])("%j is invalid for both", (text) => {
  expect([readWorkflow(text, "w").problems.length > 0, valid(parse(text))]).toEqual([true, false]);
});

test("it has the reader's keys and names", () => {
  const { properties } = schema;
  expect(Object.keys(properties)).toEqual(OF_FILE);
  expect(Object.keys(properties.steps.items.properties)).toEqual(OF_STEP);
  expect(Object.keys(properties.inputs.items.properties)).toEqual(OF_INPUT);
  expect(properties.inputs.items.properties.name.pattern).toBe(INPUT_NAME.source.replaceAll("\\w", "A-Za-z0-9_"));
});
