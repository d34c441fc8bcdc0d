"""Real files typed key by key through the completer, with a person who looks at what is shown."""
