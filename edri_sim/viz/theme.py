"""What all pictures have in common: colours, axes that a notebook shows, and SVG that is the same every time."""

from __future__ import annotations

import base64
import html
from io import BytesIO

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

REAL = "#0072B2"
SIMULATED = "#D55E00"
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
"""The colours of Okabe and Ito (2008), which people with any common colour blindness tell apart, and a grey."""

INK = "#24292f"
FAINT = "#6a737d"
GRID = "#d9dce0"
PAPER = "#ffffff"
BUSY = "#0072B2"
WAITING = "#E69F00"
LOOKS = {
    "node": ("#dbeaf5", "#0072B2"), "switch": ("#fff1c2", "#9a6b00"), "manager": ("#dbeaf5", "#0072B2"),
    "pool": ("#d8f0e8", "#009E73"), "outside": ("#eceff1", "#7f7f7f"),
}  # fmt: skip
"""The fill and the edge of a box, by the kind of what it stands for."""
UP = "#009E73"
DOWN = "#D55E00"
"""A link that stands, and one that is broken, which is dashed too."""


class Picture(Axes):
    """Axes that Jupyter shows as a picture: no figure manager of pyplot knows them."""

    def _repr_html_(self) -> str:
        return image(svg(figure_of(self)), self.get_title("left") or "a picture of a run")


def figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches."""
    return Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """``ax`` itself, or without one the only axes of a new figure of ``width`` by ``height`` inches."""
    if ax is not None:
        return ax
    return figure(width, height).add_subplot(axes_class=Picture)


def figure_of(ax: Axes) -> Figure:
    """The whole figure that the axes are in. Raises ValueError for axes that were removed from theirs."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError(f"{ax!r} is in no figure any more")
    return figure


def quiet_frame(ax: Axes) -> None:
    """Leave of the frame and the grid what helps to read the figures."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(FAINT)
    ax.tick_params(colors=FAINT, labelcolor=INK, labelsize=9)
    ax.grid(True, color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)


def title(ax: Axes, text: str) -> None:
    """A title over the left edge."""
    ax.set_title(text, loc="left", fontsize=11, fontweight="bold", color=INK)


def svg(figure: Figure) -> bytes:
    """The figure as SVG; equal figures give equal bytes, whenever and wherever they are drawn."""
    buffer = BytesIO()
    # Without a salt of its own each rendering has other ids in it; the font is the one that comes with matplotlib.
    with rc_context({"svg.hashsalt": "edri-sim", "svg.fonttype": "path", "font.sans-serif": ["DejaVu Sans"]}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def data_uri(kind: str, content: bytes) -> str:
    """Content of a media type as an address that needs no network."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def image(content: bytes, alt: str) -> str:
    """An ``<img>`` of an SVG: JupyterLab strips inline ``<svg>`` from notebooks that it does not trust."""
    return f'<img src="{data_uri("image/svg+xml", content)}" alt="{html.escape(alt, quote=True)}">'
