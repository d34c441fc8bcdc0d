"""Writes the server's settings into this extension's manifest: run after changing a setting.

.venv/bin/python editors/vscode/write_settings.py
"""

from __future__ import annotations

from pathlib import Path

from fimble_server.settings_schema import manifest_with_settings

_MANIFEST = Path(__file__).parent / "package.json"


def main() -> None:
    """Rewrite the manifest in place."""
    text = _MANIFEST.read_text(encoding="utf-8")
    _MANIFEST.write_text(manifest_with_settings(text), encoding="utf-8")


if __name__ == "__main__":
    main()
