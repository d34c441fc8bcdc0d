"""What decoding on a card holds besides weights and pages: fixed buffers, and what graphs work in.

Owns that reckoning, and how one cap bounds all of it. Pure: handed sizes.
"""

from __future__ import annotations

from fimble_model.engine.kv_cache import KvLayout
from fimble_model.engine.memory_cap import CardCap, MemoryShares, share_out_memory
from fimble_model.engine.paging import n_pages_for
from fimble_model.gpu.buckets import MOST_ROW_TOKENS, Bucket, all_buckets
from fimble_model.gpu.static_batch import BatchShape, StaticBatch
from fimble_model.network.config import NetworkConfig

__all__ = ["fit_under_cap", "reckon_buffer_bytes", "reckon_workspace_bytes"]

# Guessed: cuBLAS takes up to 32 MiB for each of two streams, that of captures and the other.
_LIBRARY_BYTES = 64 * 2**20
# Of a token in the last step: its id and its log-probability, side by side.
_DRAWN_BYTES = 16
_ANGLE_BYTES = 4


def fit_under_cap(
    cap: CardCap,
    planned_bytes: int,
    *,
    workspace_bytes: int,
    page_bytes: int,
) -> int:
    """Bytes for the pages, in whole ones, so that all a card holds for us is within the cap.

    That is weights, pages, the scratch page beside them, and the workspace. Raises `DeviceError`
    where not even the shortest prompt would have room.

    >>> fit_under_cap(CardCap(1000, 300), 900, workspace_bytes=50, page_bytes=20)
    620
    """
    shares = share_out_memory(
        cap.cap_bytes,
        MemoryShares(planned_bytes, 0),
        weight_bytes=cap.weight_bytes + workspace_bytes + page_bytes,
        page_bytes=page_bytes,
    )
    return shares.cache_bytes // page_bytes * page_bytes


def reckon_buffer_bytes(config: NetworkConfig, layout: KvLayout, n_most_rows: int) -> int:
    """At most what the decoding steps keep on the card: inputs, logits, tokens drawn."""
    buckets = all_buckets(n_most_rows)
    n_tokens = max(bucket.n_tokens for bucket in buckets)
    n_table_pages = n_pages_for(config.max_positions + MOST_ROW_TOKENS)
    inputs = max(StaticBatch.n_bytes(BatchShape(bucket, n_table_pages)) for bucket in buckets)
    logits = config.vocabulary_size * layout.dtype.itemsize
    return inputs + n_tokens * (logits + _DRAWN_BYTES)


def reckon_workspace_bytes(
    config: NetworkConfig, layout: KvLayout, *, n_most_rows: int, n_processors: int
) -> int:
    """At most what decoding holds besides weights and pages, in graphs that share one memory."""
    passing = max(
        _passing_bytes(config, layout, bucket, n_processors) for bucket in all_buckets(n_most_rows)
    )
    angles = 2 * config.max_positions * config.head_size * _ANGLE_BYTES
    return reckon_buffer_bytes(config, layout, n_most_rows) + passing + angles + _LIBRARY_BYTES


def _passing_bytes(
    config: NetworkConfig, layout: KvLayout, bucket: Bucket, n_processors: int
) -> int:
    """What one layer's operations write, as if nothing of it were used again; twice the stream.

    Attention's runs of pages are two a processor at the least, and no fewer than one for each key
    head of a row; each has float32 sums for every query that shares the head.
    """
    heads = (2 * config.n_query_heads + 2 * config.n_key_heads) * config.head_size
    numbers = 4 * config.width + heads + 3 * config.feed_forward_width
    n_heads_of_rows = bucket.n_rows * config.n_key_heads
    n_runs = 2 * n_processors + n_heads_of_rows
    n_sharing = config.n_query_heads // config.n_key_heads * bucket.n_row_tokens
    sums = n_runs * n_sharing * (config.head_size + 2) * 4
    return bucket.n_tokens * numbers * layout.dtype.itemsize + sums
