#!/usr/bin/env bash
# Installs the two Neovims that the tests drive, and a Lua linter, into a folder of the project.
#
#   tests/e2e/neovim/install.sh [FOLDER]      FOLDER is .cache/neovim by default
#
#   FOLDER/newest  Debian's "forky":  has its own inline completion, and luacheck beside it
#   FOLDER/oldest  Debian's "trixie": Neovim 0.10, the oldest that the plugin serves
#
# For Debian and its kin. apt fetches and verifies, from the mirror its own configuration names, into
# a private state: nothing of the system is changed. Each Neovim runs on the C library of its own
# suite, so it works on an older system too. What is installed already is left as it is.
set -euo pipefail

folder=${1:-$(dirname "$0")/../../../.cache/neovim}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The first Debian archive, not the one for security, that apt is configured to use.
find_mirror() {
  apt-get indextargets --format '$(SITE) $(ORIGIN) $(LABEL)' 2>/dev/null \
    | awk '$2 == "Debian" && $3 == "Debian" { print $1; exit }'
  sed -nE 's/^(URIs: *|deb +(\[[^]]*\] +)?)([a-z]+:[^ ]*debian\/?)( .*)?$/\3/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep -v security || true
}

# fetch SUITE TARGET PACKAGE... : the packages and all they need, as .deb files in TARGET.
fetch() {
  local suite=$1 target=$2 state=$work/apt-$1
  shift 2
  mkdir -p "$target/partial" "$state/lists/partial" "$state/cache" "$state/sources"
  : > "$state/status" # No package counts as installed: the C library comes too.
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
    "$mirror" "$suite" "$keyring" > "$state/sources/only.sources"
  local options=(
    -qq -y
    -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$state/sources"
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null
    -o Dir::State="$state" -o Dir::State::Status="$state/status"
    -o Dir::Cache="$state/cache" -o Dir::Cache::Archives="$target"
    -o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=false
    -o Acquire::Languages=none -o Acquire::Retries=3
  )
  apt-get "${options[@]}" update
  apt-get "${options[@]}" install --download-only "$@" > /dev/null
}

# A patchelf that runs here: the system's, or the one of the system's own suite.
find_patchelf() {
  command -v patchelf && return
  local suite
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  fetch "$suite" "$work/patchelf-debs" patchelf >&2
  dpkg -x "$work"/patchelf-debs/patchelf_*.deb "$work/patchelf"
  echo "$work/patchelf/usr/bin/patchelf"
}

# install_neovim NAME SUITE PACKAGE...
install_neovim() {
  local name=$1 suite=$2 prefix=$folder/$1
  shift 2
  local nvim=$prefix/usr/bin/nvim
  if [ -e "$prefix/.complete" ] && "$nvim" --version > /dev/null 2>&1; then
    return
  fi
  mirror=${mirror:-$(find_mirror | head -n 1)}
  patchelf=${patchelf:-$(find_patchelf)}
  rm -rf "$prefix"
  mkdir -p "$prefix"
  fetch "$suite" "$work/debs-$suite" neovim "$@"
  for deb in "$work/debs-$suite"/*.deb; do
    dpkg -x "$deb" "$prefix"
  done
  # A changed interpreter and search path, and no wrapper: Neovim starts itself by its own path, and
  # its children must not inherit our libraries.
  local loader
  loader=$(find "$prefix/usr/lib" -name 'ld-linux*.so.*' | head -n 1)
  "$patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$(dirname "$loader")" "$nvim"
  "$nvim" --clean --headless -c 'lua assert(vim.env.VIMRUNTIME:find(vim.v.progpath:match("(.*)/usr/bin"), 1, true))' -c quitall
  touch "$prefix/.complete"
}

install_neovim newest forky lua-check
install_neovim oldest trixie
if command -v npm > /dev/null && [ ! -e "$folder/stylua/node_modules" ]; then
  npm install --silent --no-audit --no-fund --prefix "$folder/stylua" @johnnymorganz/stylua@2.5.2 \
    || echo "stylua could not be installed; the layout of the Lua files stays unchecked."
fi
for name in newest oldest; do
  echo "$name: $("$folder/$name/usr/bin/nvim" --version | head -n 1)"
done
