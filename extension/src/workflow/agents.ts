// Whether the agents of a workflow exist, so that a run does not end at its last step over a name.

import type { Agent } from "../server.js";
import type { Problem, Step } from "./file.js";

/** The steps whose agent the server does not have, or has with an error. */
export function agentProblems(steps: readonly Step[], agents: readonly Agent[]): Problem[] {
  return steps.flatMap(({ agent, line }) => {
    const found = agents.find(({ id }) => id === agent);
    if (found?.error) return [{ line, message: `The agent '${agent}' is invalid: ${found.error}` }];
    return found ? [] : [{ line, message: `The server has no agent '${agent}'; it has ${list(agents)}.` }];
  });
}

function list(agents: readonly Agent[]): string {
  const names = agents.slice(0, 10).map(({ id }) => `'${id}'`);
  return names.length ? names.join(", ") + (agents.length > 10 ? ` and ${agents.length - 10} more` : "") : "none";
}
