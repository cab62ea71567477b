import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from profiled import gpu_machine, loop, machine

from stocktake.debugger import samples as known
from stocktake.debugger.profile_page import duration, page
from stocktake.debugger.profile_report import judge
from stocktake.debugger.samples import Profile


class Open(HTMLParser):
    """Tags that were opened and not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.words, self.links = [], "", []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


def told(seen, operators=(), title="demo"):
    parser = Open()
    parser.feed(page(seen, judge(seen), operators, title=title))
    assert parser.open == [] and parser.links == []
    return re.sub(r"\s+", " ", parser.words)  # and what does not break is a space too


def gpu_profile(**more):
    spans = loop(np.full(150, 0.1), wait=0.4) + loop(np.full(20, 0.05), mode="eval", begins_s=20)
    return replace(gpu_machine(gpu=30), spans=spans, workers=[(0.0, 2)], cores=2, **more)


def test_the_page_says_what_was_found_and_what_to_do():
    words = told(gpu_profile())

    assert "LowGPUUtilizationfoundGPU gpu0 of algo-1 is used little" in words
    assert "Find what it waits for in the phases" in words
    assert "MaxInitializationTimefineNot seen: the first step takes too long" in words
    assert "150 training steps; 2 cores; 1 GPU; 4,800 samples of 1 machine" in words


def test_time_lines_steps_and_phases_are_there():
    text = page(gpu_profile(), judge(gpu_profile()), [], title="demo")

    machine_s = ("GPU in use, %", "GPU memory taken, %", "CPU in use, %", "Percentiles")
    loop_s = ("Length of train steps", "How many eval steps", "Steps of mode train")
    for heading in machine_s + loop_s:
        assert heading in text
    assert "Disk, MB/s" not in text
    assert "http://" not in text and "https://" not in text and "<script" not in text


def test_on_a_machine_without_a_gpu_that_is_said():
    seen = Profile(samples=machine({("cpu0", known.CPU): np.full(1200, 95.0)}))
    words = told(seen)

    assert "no GPU" in words and "the mean of the CPU's cores is judged in its place" in words
    assert "GPU in use" not in words


def test_an_empty_profile_is_a_page_too():
    words = told(Profile())

    assert "No steps were seen." in words and "Nothing was sampled." in words


def test_operators_are_a_table():
    row = {"name": "aten::<mm>", "calls": 1200, "self_cpu_ms": 3.0, "cpu_ms": 4.0}
    row |= {"self_device_ms": 0.0, "self_memory_bytes": 0}
    words = told(Profile(), [{"steps": [3, 3], "operators": [row]}])

    assert "Top operators in step 3" in words and "aten::<mm>1,2003.004.000.00100.0 %" in words


def test_names_cannot_break_out_of_the_page():
    bad = "<script>alert(1)</script>"
    samples = machine({(bad, known.GPU): np.full(1200, 9.0)}, node=bad)
    spans = [replace(one, name=bad) if one.name == "forward" else one for one in loop([0.1] * 20)]
    text = page(
        Profile(samples=samples, spans=spans), judge(Profile(samples=samples)), [], title=bad
    )

    assert "<script" not in text and "&lt;script" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0042, "4.2 ms"), (3.21, "3.2 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")],
)
def test_lengths_of_time_are_for_people(seconds, words):
    assert duration(seconds) == words


def test_two_machines_are_told_apart():
    samples = machine({("cpu0", known.CPU): [5.0, 6.0]}, node="algo-1")
    samples += machine({("cpu0", known.CPU): [5.0, 6.0]}, node="algo-2")

    words = told(Profile(samples=samples))
    assert "CPU in use, % of algo-2" in words and "of 2 machines" in words
