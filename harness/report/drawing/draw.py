"""A Judgement and its Picture -> a PNG or SVG file.

Draws on a Figure of its own with the Agg or the SVG canvas: no pyplot, no shared state. Made to be read at half its
size, in a chat or a README: hence few and large letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from harness.report.drawing import layout
from harness.report.drawing.scene import Scene
from harness.report.drawing.theme import LIGHT

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from harness.judge.picture.picture import Picture
    from harness.judge.verdict.judgement import Judgement
    from harness.report.drawing.theme import Theme

_DPI = 150
_COLOURS = 256  # of a PNG: nobody sees a difference, and the file has half the size


def draw(
    judgement: Judgement, picture: Picture, file: Path | BinaryIO, *, theme: Theme = LIGHT, form: str = "png"
) -> None:
    """Draw a run into a file. `form`: png | svg. The same run gives the same file.

    Raises OSError when it cannot be written.
    """
    # Starts from matplotlib's own style, not from a matplotlibrc in the working folder.
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_style(theme))
        figure = Figure(facecolor=theme.paper)
        if form == "svg":
            svg: Any = FigureCanvasSVG(figure)
            layout.fill(figure, Scene(judgement, picture, theme))
            svg.print_svg(file, metadata={"Date": None, "Creator": "zdtest"})
            return
        canvas: Any = FigureCanvasAgg(figure)
        figure.set_dpi(_DPI)
        layout.fill(figure, Scene(judgement, picture, theme))
        canvas.draw()
        drawn = np.asarray(canvas.buffer_rgba())[:, :, :3]
        _few_colours(drawn).save(file, format="PNG", optimize=True, dpi=(_DPI, _DPI))


def _few_colours(drawn: NDArray[np.uint8]) -> Image.Image:
    """Return RGB pixels as a picture with a palette: the colours of which there is most stay exactly as they are."""
    packed = drawn[:, :, 0].astype(np.int32) << 16 | drawn[:, :, 1].astype(np.int32) << 8 | drawn[:, :, 2]
    every, counts = np.unique(packed, return_counts=True)  # where each stands would be ten times as slow
    kept = every[np.argsort(-counts, kind="stable")[:_COLOURS]]

    def parts(colours: NDArray[np.int32]) -> NDArray[np.int32]:
        return np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)

    palette = parts(kept)
    nearest = np.array([((palette - one) ** 2).sum(axis=1).argmin() for one in parts(every)], dtype=np.uint8)
    places = np.zeros(1 << 24, dtype=np.uint8)
    places[every] = nearest
    found = Image.fromarray(places[packed], "P")
    found.putpalette(palette.astype(np.uint8).tobytes())
    return found


def _style(theme: Theme) -> Any:
    return {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "hatch.linewidth": 0.6,
        "axes.edgecolor": theme.faint,
        "axes.facecolor": "none",
        "axes.labelcolor": theme.ink,
        "text.color": theme.ink,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        # Names, URLs and reasons come from outside: a dollar sign in them must not begin mathematics.
        "text.parse_math": False,
        "text.usetex": False,
        "svg.fonttype": "none",  # text stays text: it can be searched, and read out
        "svg.hashsalt": "zdtest",
    }
