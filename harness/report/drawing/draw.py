"""A Judgement and its Picture -> a PNG or SVG file.

Draws on a Figure of its own with the Agg or the SVG canvas: no pyplot, no shared state. Made to be read at half its
size, in a chat or a README: hence few and large letters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
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
        size = canvas.get_width_height()
        drawn = Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1).convert("RGB")
        _few_colours(drawn).save(file, format="PNG", optimize=True, dpi=(_DPI, _DPI))


def _few_colours(drawn: Image.Image) -> Image.Image:
    """Return a picture with a palette: the colours of which there is most stay exactly as they are."""
    counted: Any = drawn.getcolors(drawn.width * drawn.height)
    most = [colour for _, colour in sorted(counted, reverse=True)[:_COLOURS]]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for colour in most for part in colour])
    return drawn.quantize(palette=palette, dither=Image.Dither.NONE)


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
