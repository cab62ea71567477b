"""Address: text that names a place with objects, a folder or s3://BUCKET/PREFIX, and its Store."""

from pathlib import Path

from stocktake.errors import SettingsError
from stocktake.store.objects import Store


def open_store(
    address: str, *, endpoint_url: str = "", anonymous: bool = False, create: bool = False
) -> Store:
    """The store at an address; nothing is asked of a server yet.

    Args:
        address: a folder, or s3://BUCKET/PREFIX.
        endpoint_url: an S3-compatible server; empty for AWS.
        anonymous: send no credentials, as for a public bucket.
        create: make the folder if it is not there, to write into it.

    Raises:
        SettingsError: if the address is empty or of a kind we do not know.
        DataError: if it names a folder that is not there.
    """
    from stocktake.store import local

    scheme, separator, rest = address.partition("://")
    if not address.strip():
        raise SettingsError("the source's address is empty; name a folder or s3://BUCKET/PREFIX")
    if not separator or scheme == "file":
        folder = Path(rest if separator else address).expanduser()
        if create and not folder.exists():
            folder.mkdir(parents=True)
        return local.LocalStore(rest if separator else address)
    if scheme != "s3":
        raise SettingsError(
            f"'{address}' begins with {scheme}://; name a folder or s3://BUCKET/PREFIX"
        )
    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise SettingsError(f"'{address}' names no bucket; write s3://BUCKET/PREFIX")
    from stocktake.store import s3

    return s3.S3Store(bucket, prefix.strip("/"), endpoint_url=endpoint_url, anonymous=anonymous)
