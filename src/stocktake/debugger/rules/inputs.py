"""What inputs tell: images not normalised, sequences of padding."""

from collections.abc import Iterator

import numpy as np

from stocktake.debugger.errors import RuleError
from stocktake.debugger.records import View
from stocktake.debugger.rules import Finding, rule
from stocktake.debugger.rules.looking import (
    Words,
    array,
    found,
    number,
    tensor,
    tensors,
    words,
)


@rule(
    "CheckInputImages",
    reads=("inputs",),
    statistics=("channel_means", "tensor"),
    modes=("train", "eval", "predict"),
    advice="Take off each channel's mean and divide by its deviation, as the model was made for.",
    profiles={"manual": {"regex": ".*hybridsequential0_input_0"}},
)
def check_input_images(
    view: View,
    *,
    threshold_mean: float = 0.2,
    threshold_samples: int = 500,
    regex: Words = "",
    channel: int = 1,
) -> Iterator[Finding]:
    """Images come in with a mean that is not 0.

    Looks at the newest `threshold_samples` images, and at none before there are so many. Fires if
    the mean of a channel is further than `threshold_mean` from 0. `channel` is the dimension of
    channels; the recorder's means are of dimension 1, others need the tensors themselves. Inputs of
    four dimensions are looked at, unless a regular expression is given.
    """
    for name in tensors(view, (), regex, otherwise=("inputs",)):
        statistic = "channel_means" if channel == 1 and not tensor_is(view, name) else "tensor"
        rows = view.rows(name, statistic)
        if not rows or rows[-1].step != view.step or (not regex and len(rows[-1].shape) != 4):
            continue
        total, seen, place = np.zeros(1), 0, len(rows)
        while place and seen < threshold_samples:
            place -= 1
            values, images = array(rows[place]), rows[place].shape[0]
            if statistic == "tensor":
                others = tuple(axis for axis in range(values.ndim) if axis != channel)
                values = values.mean(axis=others)  # (C,)
            total = total + values * images
            seen += images
        if seen >= threshold_samples:
            yield from _far(view, name, total / seen, threshold_mean)


def tensor_is(view: View, name: str) -> bool:
    """Whether the tensor itself was recorded at this step."""
    return view.row(name, "tensor") is not None


def _far(view: View, name: str, means: np.ndarray, threshold: float) -> Iterator[Finding]:
    for channel in np.flatnonzero(np.abs(means) > threshold):
        yield found(
            view,
            name,
            f"channel {channel} of {name} has mean {number(means[channel])}; "
            f"at most {number(threshold)} from 0 was expected",
            channel=float(channel),
            mean=float(means[channel]),
        )


@rule(
    "NLPSequenceRatio",
    reads=("inputs",),
    statistics=("tensor",),
    modes=("train", "eval"),
    advice="Put sequences of about one length into a batch, so that less of it is padding.",
    profiles={"manual": {"tensor_regex": ".*embedding0_input_0"}},
)
def nlp_sequence_ratio(
    view: View,
    *,
    tensor_regex: Words = "",
    token_values: Words = "0",
    token_thresholds_percent: Words = "50",
) -> Iterator[Finding]:
    """Too much of a sequence is one token, as padding.

    Fires if over `token_thresholds_percent` % of a step's tokens are one of `token_values`; both
    are lists, side by side. Looks at inputs if no expression is given.

    Raises:
        RuleError: if the two lists are of different length.
    """
    tokens, most = words(token_values), words(token_thresholds_percent)
    if len(tokens) != len(most):
        raise RuleError(
            f"token_values has {len(tokens)} and token_thresholds_percent {len(most)}; "
            "give one threshold for each token"
        )
    for name in tensors(view, (), tensor_regex, otherwise=("inputs",)):
        values = tensor(view, name)
        for token, percent in zip(tokens, most, strict=True) if values is not None else ():
            share = 100 * float(np.mean(values == float(token)))
            if share > float(percent):
                yield found(
                    view,
                    name,
                    f"{number(share)} % of {name} are token {token}; at most {percent} % were "
                    "expected",
                    token=float(token),
                    percent=share,
                )
