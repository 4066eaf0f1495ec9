"""The losses of a fine-tuning as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

TERMS = ("total", "entail", "pullback", "hard")


def picture(train: Sequence[dict[str, Any]], validation: Sequence[dict[str, Any]]) -> bytes:
    """Return a PNG of each term by step: training smoothed over 2 % of the steps, validation."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    width = max(1, len(train) // 50)
    for axes, term in zip(figure.subplots(2, 2).flat, TERMS, strict=True):
        steps, values = [line["step"] for line in train], [line[term] for line in train]
        axes.plot(steps, values, color="0.8", linewidth=0.7)
        if width > 1:
            smooth = [sum(values[i : i + width]) / width for i in range(len(values) - width + 1)]
            axes.plot(steps[width - 1 :], smooth, color="C0", label="training")
        if validation:
            axes.plot(
                [line["step"] for line in validation],
                [line[term] for line in validation],
                "o-",
                color="C1",
                markersize=3,
                label="validation",
            )
        axes.set_title(term)
        axes.set_xlabel("step")
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    content = BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return content.getvalue()
