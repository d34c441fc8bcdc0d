"""What the terminal's verbs do: `complete`, `check`, `models`. Wiring to typer is in `cli.py`.

Prints through a rich console it is handed. Never speaks LSP, never starts a thread.
"""
