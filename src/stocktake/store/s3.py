"""A bucket as a Store: S3 or a server that speaks it. The only user of obstore."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store as Bucket

from stocktake.errors import DataError, SettingsError
from stocktake.store.objects import Entry, Missing, Refused, check_key

RETRIES = 10
"""With waits that grow from 0.1 s at random: outlives a hiccup; a wrong endpoint is told within
seconds."""
RETRY_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 30


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
        """Every object below the folder `prefix`.

        Raises:
            DataError: if the bucket is missing, access is denied or the server does not answer.
        """
        try:
            for chunk in obstore.list(self._bucket, prefix or None, chunk_size=1000):
                for found in chunk:
                    tag = found["e_tag"] or found["last_modified"].isoformat()
                    yield Entry(key=found["path"], size_bytes=found["size"], version=tag)
        except (BaseError, OSError) as err:
            raise DataError(
                f"{self.address} cannot be listed ({_reason(err)}); {self._advice()}"
            ) from err

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises Missing, Refused, or DataError if the server fails."""
        check_key(key)
        try:
            return bytes(obstore.get(self._bucket, key).bytes())
        except FileNotFoundError as err:
            raise Missing(f"{self.address}/{key} is not there") from err
        except (PermissionDeniedError, UnauthenticatedError) as err:
            raise Refused(
                f"{self.address}/{key} may not be read ({_reason(err)}); {self._advice()}"
            ) from err
        except (BaseError, OSError) as err:
            raise DataError(
                f"{self.address}/{key} cannot be read ({_reason(err)}); {self._advice()}"
            ) from err

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key. Raises DataError if the server fails."""
        check_key(key)
        try:
            obstore.head(self._bucket, key)
        except FileNotFoundError:
            return False
        except (PermissionDeniedError, UnauthenticatedError) as err:
            raise Refused(
                f"{self.address}/{key} may not be asked for ({_reason(err)}); {self._advice()}"
            ) from err
        except (BaseError, OSError) as err:
            raise DataError(
                f"{self.address}/{key} cannot be asked for ({_reason(err)}); {self._advice()}"
            ) from err
        return True

    def write(self, key: str, data: bytes) -> None:
        """Put an object there, whole or not at all. Raises Refused, or DataError."""
        check_key(key)
        try:
            obstore.put(self._bucket, key, data)
        except (PermissionDeniedError, UnauthenticatedError) as err:
            raise Refused(
                f"{self.address}/{key} may not be written ({_reason(err)}); {self._advice()}"
            ) from err
        except (BaseError, OSError) as err:
            raise DataError(
                f"{self.address}/{key} cannot be written ({_reason(err)}); {self._advice()}"
            ) from err

    def _advice(self) -> str:
        if self._anonymous:
            return "check bucket and endpoint_url; if it is not public, set anonymous = false"
        return "check bucket, endpoint_url and credentials; set anonymous = true if it is public"


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
