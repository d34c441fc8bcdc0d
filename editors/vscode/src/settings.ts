/**
 * What the server is told of the user's settings. Pure.
 *
 * Only what the user set is sent: a default sent along would win over Fimble's own settings file.
 * Whatever is in the sections is sent as it is, so that the server can refuse a slip by its path.
 */

/** The sections that the server knows; `fimble.editor` is the extension's own. */
const SECTIONS = ["model", "completion", "context", "server"];

/** The part of the editor's configuration object that is read here. */
export interface Configuration {
  get(key: string): unknown;
  inspect(key: string): Inspected | undefined;
}

export interface Inspected {
  readonly defaultValue?: unknown;
  readonly globalValue?: unknown;
  readonly workspaceValue?: unknown;
  readonly workspaceFolderValue?: unknown;
}

export type Tree = Record<string, Record<string, unknown>>;

/**
 * The user's settings as the server takes them. `told` are the ones it was told when it started:
 * those the user took back since are told by their defaults, for nothing else unsays them.
 */
export function collectSettings(configuration: Configuration, told: Tree = {}): Tree {
  const tree: Tree = {};
  for (const section of SECTIONS) {
    const values: Record<string, unknown> = {};
    for (const name of namesIn(configuration.get(section))) {
      const inspected = configuration.inspect(`${section}.${name}`);
      if (isSet(inspected)) {
        values[name] = configuration.get(`${section}.${name}`);
      } else if (told[section] !== undefined && name in told[section]) {
        values[name] = inspected?.defaultValue;
      }
    }
    if (Object.keys(values).length > 0) {
      tree[section] = values;
    }
  }
  // The editor draws ghost text itself: entries in its suggest list as well would fight with it.
  tree["completion"] = { menu: false, ...tree["completion"] };
  return tree;
}

function namesIn(section: unknown): string[] {
  return typeof section === "object" && section !== null ? Object.keys(section) : [];
}

function isSet(inspected: Inspected | undefined): boolean {
  return (
    inspected?.globalValue !== undefined ||
    inspected?.workspaceValue !== undefined ||
    inspected?.workspaceFolderValue !== undefined
  );
}
