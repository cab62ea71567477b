"""A bucket as a Store: S3 or a server that speaks it. The only user of obstore."""

import hashlib
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from stocktake.errors import DataError, SettingsError
from stocktake.store.objects import (
    Away,
    Entry,
    Garbled,
    Missing,
    Refused,
    check_arrived,
    check_key,
    check_size,
)

RETRIES = 10
"""With waits that grow from 0.1 s at random: outlives a hiccup; a wrong endpoint is told within
seconds."""
RETRY_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 30
PAGE = 1000
"""Objects in one page of a listing, as servers have it."""
LISTING_WAITS_S = (1, 2, 4, 8, 15, 30)
"""Waits before a listing that broke off is taken up again, anew after every object listed."""
ASK_AGAIN = (408, 429)
"""Statuses that blame the client, but pass."""
OF_EVERYTHING = {
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "NoSuchBucket",
    "PermanentRedirect",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
"""The server's words that speak of the bucket or of the credentials, not of one object."""


class S3Store:
    """The objects of a bucket below a prefix.

    Credentials and region come from the usual AWS_ variables, which obstore reads itself.

    Raises:
        SettingsError: if bucket or endpoint_url cannot be one.
    """

    lists_fast = False

    def __init__(
        self, bucket: str, prefix: str = "", *, endpoint_url: str = "", anonymous: bool = False
    ) -> None:
        self.address = f"s3://{bucket}/{prefix}".rstrip("/")
        self._anonymous = anonymous
        _check(bucket, endpoint_url)
        given: dict[str, Any] = {
            "prefix": prefix,
            "endpoint": endpoint_url.rstrip("/"),
            "skip_signature": anonymous,
        }
        try:
            self._bucket = Bucket(
                bucket,
                **{name: value for name, value in given.items() if value},
                client_options={
                    "allow_http": endpoint_url.startswith("http://"),
                    "timeout": timedelta(seconds=ANSWER_TIMEOUT_S),
                },
                retry_config={
                    "max_retries": RETRIES,
                    "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S),
                },
            )
        except BaseError as err:
            raise DataError(f"{self.address} cannot be opened ({_reason(err)})") from err

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every object below the folder `prefix`; a listing that breaks off goes on where it was.

        Raises:
            Away: if the server does not answer.
            DataError: if the bucket is missing or access is denied.
        """
        last, waits = "", iter(LISTING_WAITS_S)
        while True:
            try:
                for found in self._after(prefix, last):
                    yield found
                    last, waits = found.key, iter(LISTING_WAITS_S)
                return
            except (BaseError, OSError) as err:
                told = self._told(err, self.address, "listed")
                is_there = bool(last) or "response body" in str(err)  # it began to answer
                wait_s = next(waits, None) if is_there and isinstance(told, Away) else None
                if wait_s is None:
                    raise told from err
            time.sleep(wait_s)

    def _after(self, prefix: str, last: str) -> Iterator[Entry]:
        offset = {"offset": last} if last else {}
        chunks = obstore.list(self._bucket, prefix or None, chunk_size=PAGE, **offset)
        for chunk in chunks:
            for found in chunk:
                tag = found["e_tag"] or found["last_modified"].isoformat()
                yield Entry(key=found["path"], size_bytes=found["size"], version=tag)

    def read(self, key: str, *, listed: Entry | None = None) -> bytes:
        """The object's bytes, held to the size and the tag that were listed or announced.

        A tag that looks like an MD5 but is not that of the bytes is asked for twice: damage on the
        way does not repeat itself, while under SSE-KMS every tag is like that.
        Raises as `Store.read` says.
        """
        check_key(key)
        where = f"{self.address}/{key}"
        data, announced = self._get(key)
        check_arrived(where, data, listed.size_bytes if listed else announced.size_bytes)
        if listed and _are_different(listed.version, announced.version):
            raise Garbled(f"{where} is not the version that was listed; it may have changed")
        if _differs(announced.version, data) and not self._is_steady(key, data):
            raise Garbled(f"the bytes of {where} are not those of its tag")
        return data

    def _is_steady(self, key: str, data: bytes) -> bool:
        """Whether the object, asked for again, has the same size and bytes."""
        try:
            size_bytes = obstore.head(self._bucket, key)["size"]
        except (BaseError, OSError) as err:
            raise self._told(err, f"{self.address}/{key}", "asked for") from err
        return size_bytes == len(data) and self._get(key)[0] == data

    def _get(self, key: str) -> tuple[bytes, Entry]:
        """What arrives, and what the answer's head says of it."""
        where = f"{self.address}/{key}"
        try:
            found = obstore.get(self._bucket, key)
            meta = found.meta
            size_bytes, tag = meta["size"], meta["e_tag"] or ""
            check_size(where, size_bytes)
            return bytes(found.bytes()), Entry(key=key, size_bytes=size_bytes, version=tag)
        except (BaseError, OSError) as err:
            raise self._told(err, where, "read") from err

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key. Raises as `read`."""
        check_key(key)
        try:
            obstore.head(self._bucket, key)
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as err:
            raise self._told(err, f"{self.address}/{key}", "asked for") from err
        return True

    def write(self, key: str, data: bytes) -> None:
        """Put an object there, whole or not at all. Raises as `Store.write` says."""
        check_key(key)
        try:
            obstore.put(self._bucket, key, data)
        except (BaseError, OSError) as err:
            raise self._told(err, f"{self.address}/{key}", "written") from err

    def _told(self, err: Exception, where: str, verb: str) -> DataError:
        """The error of ours that says whether it is this object, everything, or only now."""
        reason, advice = _reason(err), self._advice()
        cannot = f"{where} cannot be {verb} ({reason}); {advice}"
        if _code(err) in OF_EVERYTHING or verb == "listed" and isinstance(err, FileNotFoundError):
            return DataError(cannot)
        if isinstance(err, FileNotFoundError):
            return Missing(f"{where} is not there")
        status = _status(err)
        is_no = isinstance(err, PermissionDeniedError | UnauthenticatedError)
        if is_no or 400 <= status < 500 and status not in ASK_AGAIN:
            return (
                DataError(cannot)
                if verb == "listed"
                else Refused(f"{where} may not be {verb} ({reason}); {advice}")
            )
        return Away(cannot)

    def _advice(self) -> str:
        if self._anonymous:
            return "check bucket and endpoint_url; if it is not public, set anonymous = false"
        return "check bucket, endpoint_url and credentials; set anonymous = true if it is public"


def _code(err: BaseException) -> str:
    """The server's own word for what is wrong, as in NoSuchBucket; "" if it said none."""
    found = re.search(r"<Code>(.*?)</Code>", str(err))
    return found[1] if found else ""


def _status(err: BaseException) -> int:
    """The HTTP status in obstore's text; 0 if no answer came."""
    found = re.search(r"status code: (\d{3})|status: (\d{3})", str(err))
    return int(found[1] or found[2]) if found else 0


def _bare(tag: str) -> str:
    return tag.strip('"').lower()


def _are_different(*versions: str) -> bool:
    """Whether all are tags, and not one and the same."""
    bare = {_bare(version) for version in versions}
    return len(bare) > 1 and all(re.fullmatch(r"[0-9a-f]{32}(-\d+)?", tag) for tag in bare)


def _differs(tag: str, data: bytes) -> bool:
    """Whether the tag looks like an MD5, but is not the MD5 of the data."""
    if not re.fullmatch(r"[0-9a-f]{32}", _bare(tag)):
        return False
    return hashlib.md5(data, usedforsecurity=False).hexdigest() != _bare(tag)


def _reason(err: BaseException) -> str:
    """The server's own word out of obstore's page of text, or the first line of it."""
    text = str(err)
    code = re.search(r"<Code>(.*?)</Code>", text)
    message = re.search(r"<Message>(.*?)</Message>", text, re.DOTALL)
    if code:
        return " ".join(f"{code[1]}: {message[1] if message else ''}".split()).rstrip(":. ")
    first = " ".join(text.split("\n\nDebug source")[0].split())
    return first.rpartition(" - ")[2].rstrip(": ")[:300]


def _check(bucket: str, endpoint_url: str) -> None:
    """Refuse what would make the library panic instead of raising."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket):
        raise SettingsError(f"'{bucket}' cannot be a bucket's name; write s3://BUCKET/PREFIX")
    if endpoint_url and not re.fullmatch(r"https?://[A-Za-z0-9._\[\]:-]+/?", endpoint_url):
        raise SettingsError(
            f"endpoint_url must be as in http://127.0.0.1:9000, got '{endpoint_url}'"
        )
