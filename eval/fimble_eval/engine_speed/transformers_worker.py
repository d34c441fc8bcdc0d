"""transformers' `generate` as a contender: float32, one prompt at a time."""

from __future__ import annotations

import time
from typing import Any

import torch
import transformers

from fimble_eval.engine_speed.worker_loop import serve_calls

__all__: list[str] = []


class TransformersContender:
    """One model. It keeps nothing from one prompt to the next, as `generate` does not."""

    def load(self, *, path: str, n_threads: int, n_context_tokens: int) -> dict[str, object]:
        """Load a model's folder in float32."""
        torch.set_num_threads(n_threads)
        library: Any = transformers
        library.logging.set_verbosity_error()
        library.logging.disable_progress_bar()
        self._model: Any = library.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        self._model.eval()
        return {
            "name": f"transformers {transformers.__version__}, float32",
            "detail": f"torch {torch.__version__}",
        }

    def complete(self, *, prompt: list[int], n_new_tokens: int) -> dict[str, object]:
        """Greedy tokens after a prompt, as many as asked for."""
        ids = torch.tensor([prompt])
        started_s = time.perf_counter()
        with torch.inference_mode():
            written = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                min_new_tokens=n_new_tokens,
                max_new_tokens=n_new_tokens,
                pad_token_id=0,
            )
        spent_ms = (time.perf_counter() - started_s) * 1000
        token_ids = written[0, len(prompt) :].tolist()
        return {"spent_ms": spent_ms, "n_reused": 0, "token_ids": token_ids}


if __name__ == "__main__":
    contender = TransformersContender()
    serve_calls({"load": contender.load, "complete": contender.complete})
