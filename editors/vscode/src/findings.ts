/** What the doctor found, read from `fimble check --json` and put as a page. Pure. */

export interface Finding {
  readonly name: string;
  readonly ok: boolean;
  readonly found: string;
  readonly to_do: string;
}

/** The findings in the doctor's output; undefined where it is no report. */
export function parseFindings(output: string): Finding[] | undefined {
  try {
    const report: unknown = JSON.parse(output);
    const findings = isRecord(report) ? report["findings"] : undefined;
    return Array.isArray(findings) && findings.every(isFinding) ? findings : undefined;
  } catch {
    return undefined;
  }
}

/** The page, in Markdown. */
export function describeFindings(findings: readonly Finding[], command: string): string {
  const isWell = findings.every((finding) => finding.ok);
  const lines = ["# Fimble: Check", "", isWell ? "All is well." : "Something is wrong.", ""];
  for (const finding of findings) {
    lines.push(`- ${finding.ok ? "✓" : "✗"} **${finding.name}**: ${finding.found}`);
    if (finding.to_do !== "") {
      lines.push(`  - → ${finding.to_do}`);
    }
  }
  return [...lines, "", `Run as \`${command}\`.`, ""].join("\n");
}

/** The page where the doctor gave no report. */
export function describeNoReport(command: string, errorOutput: string): string {
  const said =
    errorOutput.trim() === "" ? "It said nothing." : `It said:\n\n    ${lastLines(errorOutput)}`;
  return [
    "# Fimble: Check",
    "",
    `Expected a report from \`${command}\`; found none. ${said}`,
    "",
    "Look at the setting `fimble.editor.command`, or run the command in a terminal.",
    "",
  ].join("\n");
}

function lastLines(output: string): string {
  return output.trim().split("\n").slice(-10).join("\n    ");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isFinding(value: unknown): value is Finding {
  return (
    isRecord(value) &&
    typeof value["name"] === "string" &&
    typeof value["ok"] === "boolean" &&
    typeof value["found"] === "string" &&
    typeof value["to_do"] === "string"
  );
}
