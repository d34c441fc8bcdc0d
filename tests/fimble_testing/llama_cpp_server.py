"""llama.cpp's own server over one GGUF file, as a process: `llama_cpp_server.py FILE`.

Prints its address once it answers, and lives until its standard input ends.
"""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    """Serve a file over loopback, on a port that the system chooses."""
    import xllamacpp

    library: Any = xllamacpp
    wanted = library.CommonParams()
    wanted.model.path = sys.argv[1]
    wanted.port = 0
    wanted.n_ctx = 1024
    wanted.n_parallel = 1
    wanted.n_gpu_layers = 0
    wanted.cpuparams.n_threads = 1
    server = library.Server(wanted)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
