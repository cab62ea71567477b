"""Model card: what a bundle is, what it is worth and what it is not for, as Markdown in the bundle.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019 (arXiv 1810.03993).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from stocktake.pages.words import brief, number, part, percent
from stocktake.schema.bundles import Bundle
from stocktake.schema.cards import Estimate, ScoreCard

SHARES = ("accuracy", "within_one", "covered", "over_majority")
FIGURES = {
    "accuracy": "counted right",
    "within_one": "right or off by one",
    "over_majority": "counted right, above always saying the commonest count",
    "rmse": "root of the mean squared error, things",
    "mae": "mean absolute error, things",
    "kappa": "quadratic-weighted kappa, up to 1",
    "nll": "negative log-likelihood, nats",
    "ece": "expected calibration error, 0 to 1",
    "covered": "true count inside the interval",
    "width": "counts in an interval",
}
SEEN = {
    "test": "which neither training nor calibration saw",
    "val": "by which training chose its best epoch, so a little too good",
    "train": "which were trained on, so far too good",
}
DECODES = {
    "mode": "the most probable count",
    "median": "the median of the distribution",
    "mean": "the mean of the distribution, rounded",
    "window": "the count with the most probability within one of it",
}


def card(bundle: Bundle, judged: ScoreCard, parity: Mapping[str, Any]) -> str:
    """The card's text.

    Args:
        bundle: what bundle.json holds.
        judged: the scorecard of the evaluation that gave the bundle its calibration.
        parity: what parity.json holds.
    """
    sections = {
        "What it does": _does(bundle),
        "What it is for": _meant_for(bundle),
        "Data and licence": _data(bundle),
        "The model": _model(bundle),
        "What its answers are worth": _worth(bundle, judged),
        "Limits": _limits(bundle, judged),
        "Parity": _parity(bundle, parity),
        "Versions": _table(("library", "version"), sorted(bundle.versions.items())),
    }
    title = f"# Model card: bundle {bundle.id}"
    return "\n\n".join([title, *(f"## {name}\n\n{text}" for name, text in sections.items())]) + "\n"


def _does(bundle: Bundle) -> str:
    return (
        f"Says how many things lie in a warehouse bin, from one photo: a count from 0 to"
        f" {bundle.max_count}, a probability for each of them, and an interval that is promised to"
        f" hold the true count for {percent(bundle.calibration['coverage'], 0)} of photos.\n"
        f"Each answer is marked `accept` if its confidence is at least"
        f" {bundle.accept_confidence:g}, and `review` below that."
    )


def _meant_for(bundle: Bundle) -> str:
    return _list(
        "For a second look at stock records: finding bins whose record and photo disagree, and"
        " saying which of them a person should look at first.",
        "For photos taken as those it was trained on: same kind of bin, camera and light.",
        "Not for stock-taking without people: let a person see what is marked `review`.",
        "Not for judging how people work, and not for photos of people.",
        f"Not for bins that may hold more than {bundle.max_count} things.",
        "Not for telling what the things are: it counts, it does not name.",
    )


def _data(bundle: Bundle) -> str:
    lines = [bundle.data or "Not said."]
    if bundle.train_counts:
        counts = sorted(bundle.train_counts.items(), key=lambda pair: int(pair[0]))
        lines.append(f"{number(sum(bundle.train_counts.values()))} photos were trained on:")
        lines += ["", _table(("true count", "photos"), counts), ""]
    lines += [
        f"First weights: {bundle.weights_source}.",
        f"Licence: {bundle.licence or 'not said'}",
    ]
    return "\n".join(lines)


def _model(bundle: Bundle) -> str:
    seen = bundle.preprocessing
    views = "" if bundle.views == 1 else f", looked at in {bundle.views} ways (turned round)"
    return _table(
        ("what", "value"),
        [
            ("backbone", part(bundle.backbone)),
            ("head", part(bundle.head)),
            ("precision", bundle.precision),
            ("photo", f"RGB, squashed to {seen['side_px']} x {seen['side_px']} px{views}"),
            ("mean, std", f"{brief(seen['mean'])}; {brief(seen['std'])} on the scale 0 to 1"),
            ("decoding", f"{bundle.decode}: {DECODES.get(bundle.decode, bundle.decode)}"),
            ("temperature", number(bundle.calibration["temperature"])),
            ("interval threshold", number(bundle.calibration["threshold"])),
            ("accept from", f"confidence {bundle.accept_confidence:g}"),
        ],
    )


def _worth(bundle: Bundle, judged: ScoreCard) -> str:
    lines = [
        f"Measured on {number(judged.n)} photos in {number(judged.groups)} sibling groups"
        f" ({judged.fold}), {SEEN.get(judged.fold, SEEN['test'])}; intervals hold 95 %."
    ]
    if bundle.precision != "float32":
        lines.append(f"The figures are of the float32 model; for {bundle.precision} see Parity.")
    if judged.counts or judged.mix:
        told = [f"only true counts {judged.counts}"] if judged.counts else []
        told += [f"a mix of counts that is {judged.mix}"] if judged.mix else []
        lines.append(f"It was judged for {' and '.join(told)}; the bundle does not know of that.")
    rows = [
        (words, _value(name, judged.metrics[name]), _interval(name, judged.metrics[name]))
        for name, words in FIGURES.items()
        if name in judged.metrics
    ]
    lines += ["", _table(("figure", "value", "interval"), rows)]
    if judged.per_count:
        lines += ["", _by_count(judged)]
    if told_accepted := _accepted(judged, bundle.accept_confidence):
        lines += ["", told_accepted]
    return "\n".join(lines)


def _by_count(judged: ScoreCard) -> str:
    rows = [
        (row.count, row.n, percent(row.accuracy.value), _interval("accuracy", row.accuracy))
        for row in judged.per_count
    ]
    return _table(("true count", "photos", "counted right", "interval"), rows)


def _accepted(judged: ScoreCard, least: float) -> str:
    """What the scorecard's steps of a tenth say of the answers that are accepted."""
    if not judged.selective:
        return ""
    sure = [step for step in judged.selective if step.least_confidence >= least]
    if not sure:
        return (
            f"Fewer than {percent(judged.selective[0].share, 0)} of the answers have a confidence"
            f" of {least:g} or more: nearly all are for review."
        )
    step = sure[-1]
    return (
        f"At least {percent(step.share, 0)} of the answers have a confidence of {least:g} or more;"
        f" of the surest {percent(step.share, 0)} {percent(step.accuracy.value)}"
        f" ({_interval('accuracy', step.accuracy)}) are right."
    )


def _limits(bundle: Bundle, judged: ScoreCard) -> str:
    lines = [
        f"It cannot say more than {bundle.max_count}; a fuller bin gets a wrong answer, and no sign"
        " of it.",
        "Things behind others, or under straps and film, are guessed from what shows.",
        "Another warehouse, camera, light or kind of bin was not measured: judge it there first"
        " (`stocktake evaluate FOLDER --bundle RUN`).",
        "Probabilities and intervals hold for photos like the calibrated ones, on average over all"
        " of them, not for each count or kind of bin.",
    ]
    if judged.beyond_max_count:
        lines.append(
            f"{number(judged.beyond_max_count)} of the {number(judged.n)} photos it was judged on"
            f" hold more than {bundle.max_count} things; they count as wrong."
        )
    missing = [str(c) for c in range(bundle.max_count + 1) if not _trained(bundle, c)]
    if bundle.train_counts and missing:
        lines.append(f"It saw no photo of these counts in training: {', '.join(missing)}.")
    return _list(*lines)


def _trained(bundle: Bundle, count: int) -> int:
    return bundle.train_counts.get(str(count), 0)


def _parity(bundle: Bundle, parity: Mapping[str, Any]) -> str:
    text = (
        f"The float32 ONNX model's probabilities are within {parity['max_gap']:.1g} of the"
        f" checkpoint's on {parity['photos']} painted photos ({parity['tolerance']:g} allowed)."
    )
    found = parity.get("int8")
    if bundle.precision != "int8" or not found:
        return text
    names = [*(name for name in FIGURES if name in found["int8"]), "size_mb"]
    words = FIGURES | {"size_mb": "size of the model, MB"}
    rows = [
        (words[name], _plain(name, found["float32"][name]), _plain(name, found["int8"][name]))
        for name in names
        if name in found["float32"]
    ]
    same = percent(found["same_counts"] / found["photos"])
    return "\n".join(
        [
            text,
            f"int8 was made of that model with {found['fitted_on']} photos of the train fold.",
            f"The two on {number(found['photos'])} photos of the {found['fold']} fold, where they"
            f" give the same count for {same}:",
            "",
            _table(("figure", "float32", "int8"), rows),
        ]
    )


def _value(name: str, estimate: Estimate) -> str:
    return _plain(name, estimate.value)


def _plain(name: str, value: float) -> str:
    return percent(value) if name in SHARES else number(value)


def _interval(name: str, estimate: Estimate) -> str:
    return f"{_plain(name, estimate.low)} to {_plain(name, estimate.high)}"


def _list(*lines: str) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; what would break a cell is put so that it does not."""
    told = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in row] for row in rows]
    lines = [heads, ["---"] * len(heads), *told]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
