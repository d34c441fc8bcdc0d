"""One part of the measurement in a process of its own: options in, result out, as JSON lines.

Owns the table of parts. What goes wrong here spoils no other part.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from fimble_eval.engine_speed.contender import ContenderMissingError
from fimble_eval.engine_speed.options import EngineOptions
from fimble_eval.engine_speed.rows import PartResult
from fimble_model.errors import FimbleError

__all__ = ["PARTS", "main"]

_Measure = Callable[[EngineOptions], PartResult]


def _passes() -> _Measure:
    from fimble_eval.engine_speed.beside_llama import measure_passes

    return measure_passes


def _keys() -> _Measure:
    from fimble_eval.engine_speed.beside_llama import measure_keys

    return measure_keys


def _agreement() -> _Measure:
    from fimble_eval.engine_speed.beside_llama import measure_agreement

    return measure_agreement


def _generate() -> _Measure:
    from fimble_eval.engine_speed.beside_transformers import measure_generate

    return measure_generate


def _speculation() -> _Measure:
    from fimble_eval.engine_speed.speculation_gain import measure_speculation

    return measure_speculation


def _typists() -> _Measure:
    from fimble_eval.engine_speed.typists import measure_typists

    return measure_typists


def _typists_large() -> _Measure:
    from fimble_eval.engine_speed.typists import measure_typists_on_large

    return measure_typists_on_large


def _memory() -> _Measure:
    from fimble_eval.engine_speed.memory_manners import measure_memory_manners

    return measure_memory_manners


# Each imports what it measures with only when it runs: there is torch in most.
PARTS: Mapping[str, Callable[[], _Measure]] = {
    "agreement": _agreement,
    "passes": _passes,
    "keys": _keys,
    "generate": _generate,
    "speculation": _speculation,
    "typists": _typists,
    "typists-large": _typists_large,
    "memory": _memory,
}


def main() -> None:
    """Read the part's name and options from the arguments; write its result as the last line."""
    name, written = sys.argv[1:]
    values = json.loads(written)
    values["work"] = Path(values["work"])
    values["large"] = None if values["large"] is None else Path(values["large"])
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What libraries print is no result.
    try:
        result = PARTS[name]()(EngineOptions(**values))
        answer = {
            "rows": [dataclasses.asdict(row) for row in result.rows],
            "details": dict(result.details),
        }
    except ContenderMissingError as error:
        answer = {"skipped": str(error)}
    except FimbleError as error:
        answer = {"failed": str(error)}
    results.write(json.dumps(answer) + "\n")
    results.flush()


if __name__ == "__main__":
    main()
