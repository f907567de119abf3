"""The colours of the light and the dark picture.

Okabe and Ito's, which colour-blind people tell apart; on dark paper lighter ones of the same hues. Each sort of failure
also has a marker and a hatch of its own, so that they differ in a grey print.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.report.looks import FAILURES, STATES

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Theme:
    """`failures` and `states` have the keys of looks.FAILURES and looks.STATES."""

    paper: str
    ink: str
    faint: str  # less important text, axes
    grid: str
    during: str  # the ground of the rollout
    control: str  # of the control window
    zoom: str  # what joins the overview to the panels
    good: str  # good answers
    lost: str  # whatever failed, of any kind
    slow: str  # the slowest answers' ground
    failures: Mapping[str, str]
    states: Mapping[str, str]
    grades: Mapping[str, str]


MARKERS: Mapping[str, str] = {
    "502": "o", "503": "s", "504": "^", "UNAVAILABLE": "s", "DEADLINE_EXCEEDED": "^", "status": "D", "none": "X",
}  # fmt: skip

LIGHT = Theme(
    paper="#FFFFFF",
    ink="#1F2328",
    faint="#656D76",
    grid="#E5E8EB",
    during="#FBF0E8",
    control="#EAF2FA",
    zoom="#EEF0F2",
    good="#B9C4CE",
    lost="#D55E00",
    slow="#DDE3E8",
    failures={name: look.colour for name, look in FAILURES.items()}
    | {"503": "#E0B400", "UNAVAILABLE": "#E0B400"},
    states={name: look.colour for name, look in STATES.items()},
    grades={"PASS": "#1A7F37", "FAIL": "#C62828", "INCONCLUSIVE": "#8A5A00"},
)
DARK = Theme(
    paper="#0D1117",
    ink="#E6EDF3",
    faint="#9DA7B1",
    grid="#262C36",
    during="#1F1A15",
    control="#111B27",
    zoom="#1A2029",
    good="#4A5663",
    lost="#FF8A3D",
    slow="#252C35",
    failures={
        "502": "#FF8A3D",
        "503": "#F0E442",
        "504": "#4C9BE8",
        "UNAVAILABLE": "#F0E442",
        "DEADLINE_EXCEEDED": "#4C9BE8",
        "status": "#8AD4F5",
        "none": "#F2F2F2",
    },
    states={
        "starting": "#6E6228",
        "ready": "#2C6E5B",
        "in_endpoints": "#16B386",
        "terminating": "#B0628F",
    },
    grades={"PASS": "#3FB950", "FAIL": "#FF7B72", "INCONCLUSIVE": "#E3B341"},
)
