"""A contender's process: it reads a call a line, does it, and writes the result as a line.

Owns that form. Imports nothing but the standard library, for a contender may run in another
Python than ours.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping

__all__ = ["serve_calls"]


def serve_calls(calls: Mapping[str, Callable[..., object]]) -> None:
    """Serve `{"call": NAME, ...arguments}` lines from standard input until it ends.

    What libraries print goes to standard error: standard output belongs to the results.
    """
    results = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        arguments = json.loads(line)
        result = calls[arguments.pop("call")](**arguments)
        results.write(json.dumps(result) + "\n")
        results.flush()
