// Takes proposed API away from extensions that do not ship with the editor.
//
// code-server lets every extension use proposed API; the VS Code that people install does not. An
// extension that came to depend on it would pass here and fail there.
//
//   node stable_api.mjs EDITOR_FOLDER

import fs from "node:fs";
import path from "node:path";

const file = path.join(process.argv[2], "out/vs/workbench/api/node/extensionHostProcess.js");
const NAME = "[\\w$]+";
const REFUSAL = `Extension '\\$\\{${NAME}\\.identifier\\.value\\}' CANNOT use API proposal`;
const ALLOWS_ALL = new RegExp(
  `function (?<name>${NAME})\\((?<extension>${NAME}),(?<proposal>${NAME})\\)\\{return!0\\}` +
    `(?=function ${NAME}\\(${NAME},${NAME}\\)\\{` +
    `if\\(!\\k<name>\\(${NAME},${NAME}\\)\\)throw new Error\\(\`${REFUSAL})`,
  "g",
);

const source = fs.readFileSync(file, "utf8");
const nPlaces = [...source.matchAll(ALLOWS_ALL)].length;
if (nPlaces !== 1) {
  console.error(`Expected one place that allows proposed API in ${file}; found ${nPlaces}.`);
  process.exit(1);
}
fs.writeFileSync(
  `${file}.new`,
  source.replace(
    ALLOWS_ALL,
    "function $<name>($<extension>,$<proposal>){return!!$<extension>.isBuiltin}",
  ),
);
fs.renameSync(`${file}.new`, file);
