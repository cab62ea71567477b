import pytest

from stocktake.errors import DataError, SettingsError
from stocktake.serve import access
from stocktake.serve.wire import WireError

TOKEN = "0123456789abcdef"


def test_a_token_is_read_without_the_white_space_around_it(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"\n {TOKEN} \n")

    assert access.read_token(str(path)) == TOKEN
    assert access.read_token("") == ""


@pytest.mark.parametrize("text", ["", "short", f"{TOKEN} {TOKEN}", "é" * 20, "\x00\xff" * 9])
def test_a_token_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "token"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(SettingsError, match="token"):
        access.read_token(str(path))


def test_a_token_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        access.read_token(str(tmp_path / "none"))


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
def test_the_token_passes(header):
    access.check_token(TOKEN, header)


@pytest.mark.parametrize("header", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"])
def test_anything_else_is_401(header):
    with pytest.raises(WireError) as caught:
        access.check_token(TOKEN, header)

    assert caught.value.status == 401 and TOKEN not in str(caught.value)


def test_without_a_token_all_pass():
    access.check_token("", "")


def test_a_client_has_as_many_inside_as_it_may_and_no_more():
    clients = access.Clients(2)
    with clients.one_more("a"), clients.one_more("a"), clients.one_more("b"):
        with pytest.raises(WireError) as caught, clients.one_more("a"):
            pass
        assert caught.value.status == 429
    with clients.one_more("a"):
        pass


def test_no_limit_refuses_nobody():
    clients, inside = access.Clients(0), 0
    with clients.one_more("a"), clients.one_more("a"), clients.one_more("a"):
        inside = 3

    assert inside == 3


def fetch_of(*prefixes: str, max_bytes: int = 100):
    return access.fetcher(
        prefixes, read=lambda prefix, key: f"{prefix}|{key}".encode(), max_bytes=max_bytes
    )


def test_an_address_below_a_prefix_is_read_from_it():
    fetch = fetch_of("s3://a/x", "s3://b")

    assert fetch("s3://b/c/d.jpg") == b"s3://b/|c/d.jpg"


@pytest.mark.parametrize(
    "url",
    [
        "s3://a/xy/1.jpg",
        "s3://a/1.jpg",
        "s3://a/x/",
        "s3://a/x/../y/1.jpg",
        "s3://a/x//1.jpg",
        "s3://a/x/./1.jpg",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "",
    ],
)
def test_any_other_address_is_refused(url):
    fetch = fetch_of("s3://a/x")

    with pytest.raises(DataError, match="not below an address"):
        fetch(url)


def test_a_photo_that_is_too_large_is_refused():
    with pytest.raises(DataError, match="over 3 bytes"):
        fetch_of("s3://a", max_bytes=3)("s3://a/1.jpg")


def test_without_prefixes_nothing_is_fetched():
    assert fetch_of() is None and fetch_of(" ", "") is None
