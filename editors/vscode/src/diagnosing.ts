/**
 * What other tools complain of in a document, handed on to the server: it shows the model how the
 * names in the complaints are defined. Other clients' diagnostics reach editors alone.
 */

/** As many as the server reads. */
const MAX_DIAGNOSTICS = 100;

interface Place {
  line: number;
  character: number;
}

/** What is read of an editor's diagnostic. */
export interface Complaint {
  range: { start: Place; end: Place };
  message: string;
}

export interface DiagnosticsNote {
  uri: string;
  diagnostics: Complaint[];
}

/** The notification `fimble/diagnostics` for one document; an empty list takes back the last. */
export function noteDiagnostics(uri: string, found: readonly Complaint[]): DiagnosticsNote {
  const place = ({ line, character }: Place): Place => ({ line, character });
  return {
    uri,
    diagnostics: found.slice(0, MAX_DIAGNOSTICS).map(({ range, message }) => ({
      range: { start: place(range.start), end: place(range.end) },
      message,
    })),
  };
}
