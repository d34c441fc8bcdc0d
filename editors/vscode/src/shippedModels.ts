/** The names in the output of `fimble models --json`. Pure. */

/** None where the output is no such list. */
export function parseShippedModels(output: string): string[] {
  try {
    const { models } = JSON.parse(output) as { models?: readonly { name?: unknown }[] };
    return (models ?? []).map(({ name }) => name).filter((name) => typeof name === "string");
  } catch {
    return [];
  }
}
