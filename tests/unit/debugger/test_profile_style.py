import re

from stocktake.debugger.phases import PHASES
from stocktake.debugger.profile_style import COLOURS, CSS, phase_colour


def test_every_phase_has_a_colour_of_its_own_and_others_share_one():
    own = [phase_colour(name) for name in PHASES]

    assert len(set(own)) == len(PHASES) and phase_colour("trace") == phase_colour("loader start")
    assert phase_colour("trace") not in own and phase_colour("other") not in own


def test_every_colour_is_there_for_light_and_for_dark():
    light, dark = (set(re.findall(r"(--\w+):", one)) for one in CSS.split("@media screen")[:2])

    assert light == dark and len(light) > 10
    assert {*COLOURS, *map(phase_colour, (*PHASES, "other", "trace"))} <= light
