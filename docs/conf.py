"""How the pages in this folder become a site: `nox -s docs` (Sphinx)."""

from __future__ import annotations

import harness

project = "zdtest"
version = release = harness.__version__
author = "the zdtest authors"
project_copyright = author
language = "en"

extensions = ["myst_parser"]
html_theme = "furo"
html_title = f"zdtest {release}"
html_show_sourcelink = False
html_static_path = ["site"]
html_css_files = ["site.css"]
exclude_patterns = ["site", "examples", "*.json"]

# Headings get the anchors that they have on GitHub, so that a link works in both places.
myst_heading_anchors = 4
# A Jenkinsfile is no code that the highlighter knows by that name.
highlight_language = "text"
nitpicky = True
