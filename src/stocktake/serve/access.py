"""Access: who may ask, how much at once, and which addresses photos may be fetched from."""

import hmac
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stocktake.errors import DataError, SettingsError
from stocktake.serve.wire import Fetch, WireError

LEAST_TOKEN = 16
"""Characters a token has at least: shorter ones can be guessed over a network."""


def read_token(path: str) -> str:
    """The token in a file, without the white space around it; empty for no file.

    Raises:
        SettingsError: if the file cannot be read, or holds no token of LEAST_TOKEN characters.
    """
    if not path:
        return ""
    try:
        token = Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise SettingsError(f"serve.token_file {path} cannot be read ({err})") from err
    if len(token) < LEAST_TOKEN or not token.isascii() or len(token.split()) != 1:
        raise SettingsError(
            f"serve.token_file {path} must hold one word of at least {LEAST_TOKEN} plain letters"
            " and digits; make one with `openssl rand -hex 32`"
        )
    return token


def check_token(token: str, authorization: str) -> None:
    """Hold an Authorization header to the token; any passes where there is no token.

    Raises:
        WireError: 401 if it is missing or another.
    """
    if not token:
        return
    kind, _, given = authorization.partition(" ")
    # compare_digest takes as long for a near guess as for a far one
    is_ours = hmac.compare_digest(given.strip().encode(), token.encode())
    if kind.lower() != "bearer" or not is_ours:
        found = "another token" if authorization else "no token"
        raise WireError(
            401, f"the request has {found}; send the header Authorization: Bearer TOKEN"
        )


class Clients:
    """How many requests each client address has inside; for the event loop's thread alone."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._inside: Counter[str] = Counter()

    @contextmanager
    def one_more(self, client: str) -> Iterator[None]:
        """Room for one request of this client while the block runs.

        Raises:
            WireError: 429 if it has as many inside as it may; a limit of 0 never refuses.
        """
        if self._at_once and self._inside[client] >= self._at_once:
            raise WireError(
                429,
                f"{self._at_once} requests from {client} are being answered already, and no client"
                " may have more at once; send the next when one is back",
            )
        self._inside[client] += 1
        try:
            yield
        finally:
            self._inside[client] -= 1
            if not self._inside[client]:
                del self._inside[client]  # or addresses seen once would gather for ever


def fetcher(
    prefixes: Sequence[str], *, read: Callable[[str, str], bytes], max_bytes: int
) -> Fetch | None:
    """Gets photos at addresses below the prefixes; None where there is no prefix.

    Args:
        prefixes: as s3://BUCKET/PREFIX; an address must go on below one of them.
        read: (prefix, key below it) -> bytes; DataError if they cannot be had.
        max_bytes: a larger photo is refused.
    """
    allowed = [prefix.rstrip("/") + "/" for prefix in prefixes if prefix.strip()]
    if not allowed:
        return None

    def fetch(url: str) -> bytes:
        for prefix in allowed:
            key = url.removeprefix(prefix)
            if key == url or not key:
                continue
            if any(part in ("", ".", "..") for part in key.split("/")):
                break  # what leads out of the prefix is not below it
            photo = read(prefix, key)
            if len(photo) > max_bytes:
                raise DataError(f"the photo has over {max_bytes:,} bytes; ask for a smaller one")
            return photo
        raise DataError(
            f"'{url[:200]}' is not below an address that this server may read: {', '.join(allowed)}"
        )

    return fetch
