import js from "@eslint/js";
import tseslint from "typescript-eslint";

/** Of Node, and of the browser for the functions that run there. */
const GLOBALS = Object.fromEntries(
  "console document fetch performance process requestAnimationFrame URL"
    .split(" ")
    .map((name) => [name, "readonly"]),
);

export default tseslint.config(
  { ignores: ["dist", "node_modules"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { project: "./tsconfig.json" } },
    rules: {
      // Numbers in messages are what they look like.
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      // A callback may be an arrow around a call that returns nothing.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // The compiler demands brackets for names out of an index signature.
      "@typescript-eslint/dot-notation": ["error", { allowIndexSignaturePropertyAccess: true }],
      "max-lines": ["error", 400],
      "max-lines-per-function": ["error", 50],
      "no-console": "error",
    },
  },
  {
    files: ["**/*.test.ts"],
    rules: { "max-lines-per-function": "off" }, // A `describe` holds its tests.
  },
  {
    files: ["**/*.mjs"],
    languageOptions: { globals: GLOBALS },
  },
);
