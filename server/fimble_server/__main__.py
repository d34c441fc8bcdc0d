"""`python -P -m fimble_server` is the console script `fimble`, for editors that start Python."""

from fimble_server.cli import main

if __name__ == "__main__":
    main()
