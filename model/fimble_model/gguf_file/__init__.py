"""Models in one GGUF file, as llama.cpp's tools write them: read as if they were a folder.

Owns the file's header, and what config.json, tokenizer.json and the tensors would be. Writes no
such file, and builds no network.
"""
