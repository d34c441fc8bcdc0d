"""The only wing that knows LSP and threads: connections, sessions, and the engine's thread."""
