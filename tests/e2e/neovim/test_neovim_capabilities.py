"""The capabilities recorded under `tests/clients` are those that the real Neovims send.

With FIMBLE_RECORD_CLIENTS set, records them instead; do so when Debian's Neovim has moved on.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from lsprotocol import converters, types

from fimble_server.document.positions import PositionUnit
from fimble_server.lsp.convert import choose_unit
from fimble_testing.neovim_child import ScriptedLog
from fimble_testing.neovim_tests import StartNeovim

CLIENTS = Path(__file__).resolve().parents[2] / "clients"


def test_the_recorded_capabilities_are_the_real_ones(start: StartNeovim, log: ScriptedLog) -> None:
    start()
    params = log.entries("initialize")[0]["params"]
    assert isinstance(params, dict)
    info = params["clientInfo"]
    version = re.match(r"\d+\.\d+", str(info["version"]))
    assert version is not None
    path = CLIENTS / f"neovim-{version.group()}.json"
    sent = {"clientInfo": info, "capabilities": params["capabilities"]}
    if "FIMBLE_RECORD_CLIENTS" in os.environ:
        path.write_text(json.dumps(sent, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if not path.exists():
        pytest.skip(f"no record of Neovim {info['version']}; FIMBLE_RECORD_CLIENTS=1 makes one")
    recorded = json.loads(path.read_text(encoding="utf-8"))
    if recorded["clientInfo"] != info:
        pytest.skip(f"recorded of Neovim {recorded['clientInfo']['version']}")
    assert sent["capabilities"] == recorded["capabilities"]


@pytest.mark.parametrize(
    ("name", "unit", "is_inline"),
    [
        ("neovim-0.12", PositionUnit.UTF8, True),
        ("neovim-0.10", PositionUnit.UTF16, True),
        ("helix-25.01", PositionUnit.UTF8, False),
        ("emacs-eglot-1.17", PositionUnit.UTF32, False),
    ],
)
def test_a_recorded_client_is_understood(name: str, unit: PositionUnit, is_inline: bool) -> None:
    recorded = json.loads((CLIENTS / f"{name}.json").read_text(encoding="utf-8"))
    capabilities = converters.get_converter().structure(
        recorded["capabilities"], types.ClientCapabilities
    )
    assert choose_unit(capabilities) is unit
    assert capabilities.text_document is not None
    assert (capabilities.text_document.inline_completion is not None) is is_inline
