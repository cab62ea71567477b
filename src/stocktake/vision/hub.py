"""Weights from a model hub: from the local cache, else by one download; never silently none."""

import urllib.error
import urllib.request
from pathlib import Path

from stocktake.errors import SettingsError

FILES = ("model.safetensors", "pytorch_model.bin")
PROBE_S = 5.0
"""Wait for the hub's first answer; its own client retries for 45 s without a network."""


def fetch(
    repository: str, *, backbone: str, endpoint: str | None = None, cache: Path | None = None
) -> Path:
    """Path of the weights file of a hub repository, downloaded at the first call.

    Args:
        repository: "owner/name".
        backbone: the name that settings use, for the error text.
        endpoint: address of the hub, None for the client's own.
        cache: where downloads are kept, None for the client's own.

    Raises:
        SettingsError: if the file is not in the cache and the hub cannot be reached or lacks it.
    """
    import huggingface_hub as hub

    for name in FILES:
        found = hub.try_to_load_from_cache(repository, name, cache_dir=cache)
        if isinstance(found, str):
            return Path(found)
    address = endpoint or hub.constants.ENDPOINT
    _probe(address, repository, backbone)
    for name in FILES:
        try:
            got = hub.hf_hub_download(repository, name, endpoint=address, cache_dir=cache)
            return Path(got)
        except hub.errors.RemoteEntryNotFoundError:
            continue
        except (OSError, hub.errors.HfHubHTTPError, ValueError) as err:
            raise _refusal(backbone, f"{address}/{repository}: {_first_line(err)}") from err
    raise _refusal(backbone, f"{address}/{repository} has none of {', '.join(FILES)}")


def _probe(address: str, repository: str, backbone: str) -> None:
    """Ask the hub once, so that a machine without a network gets its answer in seconds."""
    try:
        request = urllib.request.Request(address, method="HEAD")
        urllib.request.urlopen(request, timeout=PROBE_S).close()
    except urllib.error.HTTPError:
        return  # it answered
    except (OSError, ValueError) as err:
        reason = f"{address} cannot be reached ({_first_line(err)})"
        raise _refusal(backbone, f"{reason} and {repository} is not in the cache") from err


def _refusal(backbone: str, reason: str) -> SettingsError:
    return SettingsError(
        f"no pretrained weights for backbone '{backbone}': {reason};"
        ' weights = "none" starts at random, weights = "FILE" reads a safetensors file,'
        ' backbone = "tf_efficientnet_lite0" has its weights in a package'
    )


def _first_line(err: BaseException) -> str:
    return (str(err).strip() or type(err).__name__).splitlines()[0]
