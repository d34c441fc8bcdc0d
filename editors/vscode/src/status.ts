/** The one word in the status bar, and the sentence behind it. Pure. */

/** The parameters of the server's `didChangeStatus`. */
export interface StatusNote {
  readonly kind: "Normal" | "Warning" | "Error" | "Inactive";
  readonly busy: boolean;
  readonly message: string;
}

export type Phase =
  | { readonly name: "starting" }
  | { readonly name: "running" }
  | { readonly name: "restarting"; readonly delayMs: number }
  | { readonly name: "stopped"; readonly why: string };

export interface Circumstances {
  readonly phase: Phase;
  readonly note: StatusNote | undefined;
  /** Whether the model has been ready since the server started. */
  readonly wasReady: boolean;
  /** Per cent of the model that is loaded; undefined where none loads. */
  readonly loadedPercent: number | undefined;
  readonly silence: string | undefined;
}

export interface StatusWords {
  readonly state: "ready" | "starting" | "loading" | "thinking" | "paused" | "warning" | "error";
  readonly text: string;
  readonly tooltip: string;
}

/** The most pressing thing to say: what is wrong, then silence, then what goes on. */
export function planStatus(now: Circumstances): StatusWords {
  const { phase, note } = now;
  if (phase.name === "stopped") {
    return { state: "error", text: "$(error) Fimble", tooltip: phase.why };
  }
  if (phase.name === "restarting") {
    const seconds = phase.delayMs / 1000;
    const tooltip = `The server ended. It starts again in ${seconds} s.`;
    return { state: "warning", text: "$(sync) Fimble", tooltip };
  }
  if (note?.kind === "Error") {
    return { state: "error", text: "$(error) Fimble", tooltip: note.message };
  }
  if (note?.kind === "Warning") {
    return { state: "warning", text: "$(warning) Fimble", tooltip: note.message };
  }
  if (now.silence !== undefined) {
    return { state: "paused", text: "$(debug-pause) Fimble", tooltip: `Fimble is ${now.silence}.` };
  }
  return planActivity(now);
}

function planActivity({ phase, note, wasReady, loadedPercent }: Circumstances): StatusWords {
  if (loadedPercent !== undefined || (note?.busy === true && !wasReady)) {
    const percent = loadedPercent === undefined ? "" : ` ${loadedPercent}%`;
    const text = `$(loading~spin) Fimble${percent}`;
    return { state: "loading", text, tooltip: "Loading the model." };
  }
  if (phase.name === "starting" || note === undefined) {
    const tooltip = "The server is starting.";
    return { state: "starting", text: "$(loading~spin) Fimble", tooltip };
  }
  if (note.busy) {
    return { state: "thinking", text: "$(ellipsis) Fimble", tooltip: note.message };
  }
  return { state: "ready", text: "$(check) Fimble", tooltip: `Ready: ${note.message}` };
}
