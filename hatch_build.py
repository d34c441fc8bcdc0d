"""The installer's hook: builds the native kernels where there is a C compiler.

Owns how a wheel is tagged. Without a compiler the wheel is pure, and Fimble runs on torch alone.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_BUILDER = Path("model/fimble_model/network/native/build.py")


class NativeKernelsHook(BuildHookInterface):
    """Runs for wheels and editable installs alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile beside the sources, and tag the wheel for this platform where that worked."""
        spec = importlib.util.spec_from_file_location("native_build", Path(self.root) / _BUILDER)
        assert spec is not None
        assert spec.loader is not None
        builder = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(builder)
        if builder.main() != 0:
            return
        library = builder.LIBRARY_PATH.relative_to(self.root)
        build_data["artifacts"].append(library.as_posix())
        build_data["pure_python"] = False
        # A plain C library: any Python 3 of this platform can load it.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
