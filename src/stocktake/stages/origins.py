"""Origins: the runs that a finished run was made from, found again."""

from dataclasses import dataclass
from pathlib import Path

from stocktake.errors import RunError
from stocktake.runs.folder import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What the runs before an export say of its checkpoint and calibration."""

    data: str
    """Address of the photos trained on."""
    views: int
    """Ways the calibrated scores looked at a photo."""
    train_counts: dict[str, int]
    """Photos trained on, by their count."""


def of_bundle(checkpoint: RunFolder, calibration: RunFolder, run: RunFolder) -> Origin:
    """Where the photos came from, and how the calibrated scores looked at them.

    Raises:
        RunError: if the calibration was fitted on the scores of another checkpoint.
    """
    data = "unknown photos"
    trained_on = checkpoint.result().get("train_counts", {})
    photos = input_of(checkpoint, "photos")
    if photos is not None:
        data = str(photos.settings().get("source", data))
    scores = input_of(calibration, "scores")
    if scores is None:
        run.warn("the scores behind the calibration are gone: taken as fitted on this checkpoint")
        return Origin(data=data, views=1, train_counts=trained_on)
    views = int(scores.settings().get("views", 1))
    scored = scores.info()["inputs"].get("checkpoint", {}).get("fingerprint")
    if scored != checkpoint.fingerprint:
        raise RunError(
            f"{calibration.path} was fitted on scores of another checkpoint than {checkpoint.path};"
            " run `stocktake score` and `stocktake evaluate` for this one"
        )
    return Origin(data=data, views=views, train_counts=trained_on)


def input_of(run: RunFolder, name: str) -> RunFolder | None:
    """The run that `run` took `name` from, if it is still there."""
    address = run.info().get("inputs", {}).get(name, {}).get("address")
    found = RunFolder(Path(address)) if address else None
    return found if found is not None and found.exists() else None


def needed(run: RunFolder, name: str, *, otherwise: str) -> RunFolder:
    """The run that `run` took `name` from, as it was then.

    Args:
        run: a finished run.
        name: what it took, as "photos".
        otherwise: what to do if that cannot be had again, for the error.

    Raises:
        RunError: if it is gone, or was made anew since.
    """
    known = run.info().get("inputs", {}).get(name)
    if known is None:
        raise RunError(
            f"{run.path} was not made from a run of {name}, which is needed; {otherwise}"
        )
    found = RunFolder(Path(known["address"]))
    if not found.exists():
        raise RunError(
            f"{run.path} had its {name} from {found.path}, where no run is now; call from the"
            f" folder where it was made, bring {found.path} back, or {otherwise}"
        )
    if found.fingerprint != known["fingerprint"]:
        raise RunError(
            f"{found.path} was made anew since {run.path} had its {name} from it; make {run.path}"
            f" anew as well, or {otherwise}"
        )
    return found
