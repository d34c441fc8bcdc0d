/** The steps that make a Python environment with Fimble in it. Pure. */

export interface Step {
  readonly words: string;
  readonly program: string;
  readonly arguments: readonly string[];
  /** What a user can do where it fails. */
  readonly toDo: string;
}

export interface InstallPlan {
  readonly python: string;
  readonly folder: string;
  /** The environment's own interpreter, once it is made. */
  readonly environmentPython: string;
  /** A source archive, or a name that pip finds. */
  readonly packageName: string;
  readonly pipArguments: readonly string[];
}

const OLDEST_PYTHON = "(3, 11)";

/** Check the interpreter, make the environment, install. */
export function planInstall(plan: InstallPlan): Step[] {
  return [
    {
      words: "Looking at Python",
      program: plan.python,
      arguments: [
        "-c",
        `import sys, venv, ensurepip; sys.exit(sys.version_info < ${OLDEST_PYTHON})`,
      ],
      toDo: "Install Python 3.11 or newer with its venv module.",
    },
    {
      words: "Making a Python environment",
      program: plan.python,
      arguments: ["-m", "venv", plan.folder],
      toDo: "Look at the log.",
    },
    {
      words: "Installing Fimble",
      program: plan.environmentPython,
      arguments: [
        ...["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"],
        ...plan.pipArguments,
        plan.packageName,
      ],
      toDo: "Look at the log, and at the setting fimble.editor.pip_arguments.",
    },
  ];
}

/** Fimble's source archive among a folder's files: it installs on any machine. */
export function findSource(names: readonly string[]): string | undefined {
  return names.find((name) => name.startsWith("fimble-") && name.endsWith(".tar.gz"));
}
