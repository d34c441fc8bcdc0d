// Lays out Lua files by StyLua, or with --check says which it would change.
//   node stylua.mjs NODE_MODULES [--check] FILE...
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [folder, ...words] = process.argv.slice(2);
const require = createRequire(resolve(folder, "..", "package.json"));
const { Config, formatCode, IndentType, OutputVerification } = require("@johnnymorganz/stylua");

const isCheck = words[0] === "--check";

// A call of StyLua consumes its configuration.
function buildConfig() {
  const config = Config.new();
  config.column_width = 100;
  config.indent_type = IndentType.Spaces;
  config.indent_width = 2;
  return config;
}

let nChanged = 0;
for (const path of isCheck ? words.slice(1) : words) {
  const before = readFileSync(path, "utf8");
  const after = formatCode(before, buildConfig(), undefined, OutputVerification.None);
  if (after !== before) {
    nChanged += 1;
    console.log(`${isCheck ? "would change" : "changed"} ${path}`);
    if (!isCheck) writeFileSync(path, after);
  }
}
process.exit(isCheck && nChanged > 0 ? 1 : 0);
