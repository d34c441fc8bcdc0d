"""One part of the measurement on a GPU, in a process of its own: a fault there spoils no other.

Owns the table of parts. The options come as an argument, the result goes out as the last line.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Mapping

from fimble_eval.engine_speed.rows import PartResult
from fimble_eval.gpu_speed.options import GpuOptions

__all__ = ["PARTS", "main"]

_Measure = Callable[[GpuOptions], PartResult]


def _ceilings(options: GpuOptions) -> PartResult:
    from fimble_eval.gpu_speed.ceilings import measure_gpu_ceilings

    return measure_gpu_ceilings(options)


def _host(options: GpuOptions) -> PartResult:
    from fimble_eval.gpu_speed.host_work import measure_host_work

    return measure_host_work(options)


def _tests(options: GpuOptions) -> PartResult:
    from fimble_eval.gpu_speed.gpu_tests import run_gpu_tests

    return run_gpu_tests(options)


def _stream(shape: str, options: GpuOptions, *, is_int8: bool = False) -> PartResult:
    from fimble_eval.gpu_speed.streams import measure_stream

    return measure_stream(shape, options, is_int8=is_int8)


def _keystroke(options: GpuOptions) -> PartResult:
    from fimble_eval.gpu_speed.streams import measure_keystroke

    return measure_keystroke(options)


def _batch(options: GpuOptions) -> PartResult:
    from fimble_eval.gpu_speed.streams import measure_batch

    return measure_batch(options)


def _typists(options: GpuOptions) -> PartResult:
    from fimble_eval.gpu_speed.crowd import measure_crowd

    return measure_crowd(options)


def _transformers(contender: str, options: GpuOptions) -> PartResult:
    from fimble_eval.gpu_speed.beside_library import measure_beside_transformers

    return measure_beside_transformers(contender, options)


def _speculation(options: GpuOptions) -> PartResult:
    from fimble_eval.gpu_speed.drafts import measure_drafts

    return measure_drafts(options)


# Each imports what it measures with only when it runs.
PARTS: Mapping[str, _Measure] = {
    "ceilings": _ceilings,
    "host": _host,
    "tests": _tests,
    "stream-0.5b": functools.partial(_stream, "0.5b"),
    "stream-1.5b": functools.partial(_stream, "1.5b"),
    "stream-7b": functools.partial(_stream, "7b"),
    "stream-base": functools.partial(_stream, "base"),
    "stream-1.5b-int8": functools.partial(_stream, "1.5b", is_int8=True),
    "keystroke": _keystroke,
    "batch": _batch,
    "typists": _typists,
    "transformers": functools.partial(_transformers, "generate"),
    "transformers-batching": functools.partial(_transformers, "continuous batching"),
    "speculation": _speculation,
}


def main() -> None:
    """Measure the part that the arguments name."""
    name, written = sys.argv[1:]
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What libraries print is no result.
    result = PARTS[name](GpuOptions(**json.loads(written)))
    answer = {
        "rows": [dataclasses.asdict(row) for row in result.rows],
        "details": dict(result.details),
    }
    results.write(json.dumps(answer) + "\n")
    results.flush()


if __name__ == "__main__":
    main()
