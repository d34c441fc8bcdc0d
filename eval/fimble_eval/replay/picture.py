"""An ablation as a picture: what leaving each part out does to what is saved and what is kept.

Owns the drawing alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fimble_eval.replay.figures import Figures

__all__ = ["draw_ablation"]

_SHOWN = (
    ("saved_share", "characters saved, points"),
    ("kept_share", "kept share of what is shown, points"),
)


def draw_ablation(rows: Mapping[str, Figures], path: Path) -> None:
    """Two bars for each part that was left out: the figure without it less the whole's."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    whole = rows["all"]
    names = [name for name, figures in rows.items() if figures is not whole]
    height = max(2.5, 0.28 * len(names) + 1)
    figure, axes = plt.subplots(1, 2, figsize=(10, height), sharey=True, layout="constrained")
    for axis, (field, title) in zip(axes, _SHOWN, strict=True):
        changes = [100 * (getattr(rows[name], field) - getattr(whole, field)) for name in names]
        axis.barh(names, changes, color=["tab:red" if each < 0 else "tab:blue" for each in changes])
        axis.axvline(0, color="0.4", linewidth=0.8)
        axis.set_title(title, fontsize=10)
    axes[0].invert_yaxis()
    figure.savefig(path, dpi=110)
    plt.close(figure)
