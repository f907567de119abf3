"""Makes docs/pictures again from results/example: `python -m tests.docs.pictures`, or `nox -s pictures`.

Pictures of the page need a Chromium, and Debian's is enough; without one the old ones stay.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.docs.pages import DOCS, ROOT

PICTURES = DOCS / "pictures"
EXAMPLE = ROOT / "results/example"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 1000
_DARK = "--blink-settings=preferredColorScheme=0"
_LIGHT = "--blink-settings=preferredColorScheme=1"


def drawn(run: Path) -> None:
    """Write all reports of a recording again."""
    subprocess.run(
        [sys.executable, "-m", "harness", "report", "--exit-zero", str(run)],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def shot(browser: str, address: str, to: Path, theme: str, top: int) -> None:
    """Take a picture of a page from `top` on. Headless Chromium paints a scrolled page only in part, so it is cut."""
    with tempfile.TemporaryDirectory(prefix="zdtest-browser-") as profile:
        subprocess.run(
            [browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", theme,
             f"--user-data-dir={profile}", f"--window-size={WIDTH},{top + HEIGHT}", "--virtual-time-budget=5000",
             f"--screenshot={to}", address],
            check=True, timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    with Image.open(to) as image:
        image.crop((0, top, WIDTH, top + HEIGHT)).save(to)


def shrunk(picture: Path) -> None:
    """Save a picture with 128 colours, which flat drawings do not show: a third of the size."""
    with Image.open(picture) as image:
        small = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    small.save(picture, optimize=True)


def main() -> None:
    """Make all pictures."""
    PICTURES.mkdir(exist_ok=True)
    made = []
    with tempfile.TemporaryDirectory(prefix="zdtest-pictures-") as folder:
        run = Path(folder) / "example"
        shutil.copytree(EXAMPLE, run)
        drawn(run)
        drawings = [name for name in ("timeline.png",) if (run / name).exists()]
        made += [Path(shutil.copy(run / name, PICTURES / name)) for name in drawings]
        browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
        if browser and (run / "report.html").exists():
            address = (run / "report.html").as_uri()
            for name, top, theme in (
                ("page.png", 0, _LIGHT),
                ("page-dark.png", 0, _DARK),
                ("page-picture.png", 450, _LIGHT),
            ):
                shot(browser, address, PICTURES / name, theme, top)
                made.append(PICTURES / name)
    for picture in made:
        shrunk(picture)
        sys.stdout.write(f"{picture.relative_to(ROOT)}: {picture.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
