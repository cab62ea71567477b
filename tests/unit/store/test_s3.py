"""Against a real S3 server: SeaweedFS, from its package."""

import io
import json
from typing import Any

import pytest
from faults import FaultProxy
from PIL import Image
from weed import KEY, OPEN, SECRET

from stocktake.errors import DataError, SettingsError
from stocktake.runs.job import Job
from stocktake.stages import worker
from stocktake.store import s3
from stocktake.store.objects import Away, Entry, Garbled, Missing, Refused
from stocktake.store.s3 import S3Store

OBJECTS = ("pre/bin-images/00001.jpg", "pre/metadata/00001.json", "other/x")


@pytest.fixture(scope="module")
def endpoint(s3_server: Any) -> str:
    """Address of a server with three objects in each of its buckets."""
    for bucket in ("open", "closed"):
        s3_server.put({key: key.encode() for key in OBJECTS}, bucket=bucket)
    return s3_server.url


def test_a_public_bucket_is_listed_and_read(endpoint):
    store = S3Store("open", "pre", endpoint_url=endpoint, anonymous=True)

    assert sorted(entry.key for entry in store.list()) == [
        "bin-images/00001.jpg",
        "metadata/00001.json",
    ]
    assert [entry.size_bytes for entry in store.list("bin-images")] == [24]
    assert store.read("bin-images/00001.jpg") == b"pre/bin-images/00001.jpg"
    assert store.exists("metadata/00001.json")


def test_what_is_not_there_is_missing(endpoint):
    store = S3Store("open", "pre", endpoint_url=endpoint, anonymous=True)

    assert not store.exists("bin-images/2.jpg")
    assert list(store.list("nowhere")) == []
    with pytest.raises(Missing, match=r"s3://open/pre/bin-images/2\.jpg is not there"):
        store.read("bin-images/2.jpg")


def test_a_closed_bucket_is_told_in_one_line(endpoint):
    store = S3Store("closed", "pre", endpoint_url=endpoint, anonymous=True)

    with pytest.raises(DataError, match="cannot be listed .AccessDenied.*anonymous = false"):
        list(store.list())
    with pytest.raises(Refused, match="may not be read"):
        store.read("bin-images/00001.jpg")


def test_credentials_come_from_the_usual_variables(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    assert S3Store("closed", endpoint_url=endpoint).read("other/x") == b"other/x"
    with pytest.raises(DataError, match="NoSuchBucket"):
        list(S3Store("no-such-bucket", endpoint_url=endpoint).list())


def test_a_wrong_secret_is_told(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with pytest.raises(DataError, match="SignatureDoesNotMatch"):
        list(S3Store("closed", endpoint_url=endpoint).list())


def test_a_bucket_ingests_as_a_folder_of_the_same_files_does(s3_server, tmp_path):
    objects = {}
    made = io.BytesIO()
    Image.new("RGB", (40, 30), "tan").save(made, "JPEG")
    record = {"A": {"asin": "A", "quantity": 2}}
    text = json.dumps({"BIN_FCSKU_DATA": record, "EXPECTED_QUANTITY": 2}).encode()
    for number in range(25):
        for key, data in (("bin-images/%05d.jpg", made.getvalue()), ("metadata/%05d.json", text)):
            path = tmp_path / "bins" / (key % number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            objects[f"bins/{key % number}"] = data
    s3_server.put(objects)

    digests = []
    for source in (str(tmp_path / "bins"), "s3://open/bins"):
        settings = {"source": source, "endpoint_url": s3_server.url, "anonymous": True}
        output = str(tmp_path / f"run{len(digests)}" / "ingest")
        run = worker.run_job(Job(stage="ingest", settings=settings, inputs={}, output=output))
        digests.append((run.result()["photos"], run.result()["digest"]))

    assert digests[0] == digests[1]
    assert digests[0][0] == 25


def test_an_object_is_written_and_replaced(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = S3Store("closed", "made", endpoint_url=endpoint)
    store.write("a/1.jpg", b"old")
    store.write("a/1.jpg", b"newer")

    assert store.read("a/1.jpg") == b"newer"
    assert [(entry.key, entry.size_bytes) for entry in store.list()] == [("a/1.jpg", 5)]


def test_a_bucket_that_may_not_be_written_is_told(endpoint):
    with pytest.raises(Refused, match="may not be written .AccessDenied.*anonymous = false"):
        S3Store("open", endpoint_url=endpoint, anonymous=True).write("x", b"1")


def test_a_split_is_uploaded_for_image_folder_tools(s3_server, endpoint, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for number in range(40):
        bucket.bin(f"{number * 10:05d}", **{f"A{number}": 1 + number % 3})
    folder = bucket.folder.parent / "run"
    source = {"source": str(bucket.folder)}
    ingest = Job(stage="ingest", settings=source, inputs={}, output=str(folder / "ingest"))
    photos = {"photos": str(worker.run_job(ingest).path)}
    address = {"upload": "s3://closed/up", "endpoint_url": endpoint, "kind": "balanced"}
    times = []
    for name in ("split", "again"):
        todo = Job(stage="split", settings=address, inputs=photos, output=str(folder / name))
        run = worker.run_job(todo)
        listed = s3_server.client().list_objects_v2(Bucket="closed", Prefix="up/")["Contents"]
        times.append({one["Key"]: one["LastModified"] for one in listed})

    assert run.result()["uploaded"] == len(times[0]) == 40
    assert {key.split("/")[1] for key in times[0]} == {"train", "valid", "calib", "test"}
    assert times[0] == times[1]
    assert next(line for line in run.lines() if line["message"] == "uploaded")["found"] == 40


def test_a_server_that_does_not_answer_is_told(few_retries):
    store = S3Store("open", endpoint_url="http://127.0.0.1:1", anonymous=True)

    with pytest.raises(DataError, match="cannot be listed .*check bucket and endpoint_url"):
        list(store.list())


JPG = "bin-images/00001.jpg"


def spoilt(proxy: FaultProxy) -> S3Store:
    return S3Store("open", "pre", endpoint_url=proxy.url, anonymous=True)


@pytest.fixture
def few_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "RETRIES", 1)


@pytest.mark.parametrize("kind", ["error", "cut"])
def test_what_passes_is_asked_for_again(endpoint, kind):
    with FaultProxy(endpoint, rates={kind: 0.4}, seed=3) as proxy:
        store = spoilt(proxy)

        assert {store.read(JPG) for _ in range(10)} == {b"pre/bin-images/00001.jpg"}
        assert proxy.met[kind] > 2


@pytest.mark.parametrize("kind", ["error", "cut"])
def test_what_does_not_pass_is_away(endpoint, few_retries, kind):
    with (
        FaultProxy(endpoint, always={".jpg": kind}) as proxy,
        pytest.raises(Away, match=r"s3://open/pre/bin-images/00001\.jpg cannot be read \(") as told,
    ):
        spoilt(proxy).read(JPG)
    assert "\n" not in str(told.value)


def test_a_server_that_is_gone_is_away(endpoint, few_retries):
    with FaultProxy(endpoint) as proxy:
        store = spoilt(proxy)
        proxy.away.set()
        with pytest.raises(Away):
            store.read(JPG)


def test_half_an_object_is_not_taken_for_the_whole(endpoint):
    (listed,) = S3Store("open", "pre", endpoint_url=endpoint, anonymous=True).list("bin-images")
    with (
        FaultProxy(endpoint, always={".jpg": "short"}) as proxy,
        pytest.raises(Garbled, match="12 bytes arrived, 24 were expected"),
    ):
        spoilt(proxy).read(JPG, listed=listed)


def test_half_an_object_that_was_not_listed_shows_in_its_tag(endpoint):
    with FaultProxy(endpoint, rates={"short": 0.5}, seed=1) as proxy:
        store, found = spoilt(proxy), []
        for _ in range(20):
            try:
                found.append(store.read(JPG))
            except Garbled as err:
                assert "are not those of its tag" in str(err)

        assert proxy.met["short"] > 4
        assert found.count(b"pre/bin-images/00001.jpg") > 4


def test_another_version_than_the_listed_is_told(endpoint):
    (listed,) = S3Store("open", "pre", endpoint_url=endpoint, anonymous=True).list("bin-images")
    with (
        FaultProxy(endpoint, always={".jpg": "tag"}) as proxy,
        pytest.raises(Garbled, match="is not the version that was listed"),
    ):
        spoilt(proxy).read(JPG, listed=listed)


def test_a_tag_that_is_no_md5_of_anything_is_asked_for_twice(endpoint):
    """As under SSE-KMS, where tags look like MD5 sums and are none."""
    with FaultProxy(endpoint, always={".jpg": "tag"}) as proxy:
        assert spoilt(proxy).read(JPG) == b"pre/bin-images/00001.jpg"
        assert proxy.asked.total() == 3  # two of the object, one of its size


def test_an_object_too_large_is_refused_unread(endpoint, monkeypatch):
    monkeypatch.setattr("stocktake.store.objects.MAX_BYTES", 20)
    with pytest.raises(Refused, match="has 24 bytes, at most 20 are taken"):
        S3Store("open", "pre", endpoint_url=endpoint, anonymous=True).read(JPG)


def keys(store: S3Store) -> list[str]:
    return [entry.key for entry in store.list("many")]


@pytest.mark.parametrize(("kind", "places"), [("error", [2, 4, 5]), ("cut", [1, 3, 5])])
def test_a_listing_that_breaks_off_goes_on_where_it_was(s3_server, monkeypatch, kind, places):
    s3_server.put({f"many/{number:03d}": b"x" for number in range(35)})
    monkeypatch.setattr(s3, "RETRIES", 0)
    monkeypatch.setattr(s3, "LISTING_WAITS_S", (0.01, 0.01))
    monkeypatch.setattr(s3, "PAGE", 10)
    with FaultProxy(s3_server.url, page=10, listings=dict.fromkeys(places, kind)) as proxy:
        store = S3Store(OPEN, endpoint_url=proxy.url, anonymous=True)

        assert keys(store) == [f"many/{number:03d}" for number in range(35)]
        assert proxy.met[kind] == len(places)


def test_a_listing_that_breaks_off_for_good_is_told(s3_server, monkeypatch):
    s3_server.put({f"many/{number:03d}": b"x" for number in range(35)})
    monkeypatch.setattr(s3, "RETRIES", 0)
    monkeypatch.setattr(s3, "LISTING_WAITS_S", (0.01, 0.01))
    monkeypatch.setattr(s3, "PAGE", 10)
    with (
        FaultProxy(s3_server.url, page=10, listings=dict.fromkeys(range(3, 99), "error")) as proxy,
        pytest.raises(Away, match="s3://open cannot be listed .SlowDown"),
    ):
        keys(S3Store(OPEN, endpoint_url=proxy.url, anonymous=True))
    assert proxy.pages == 5


def test_a_missing_bucket_is_no_missing_object(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    with pytest.raises(DataError, match="NoSuchBucket") as told:
        S3Store("no-such-bucket", endpoint_url=endpoint).read("bin-images/1.jpg")
    assert type(told.value) is DataError


def test_a_wrong_key_is_not_about_one_object(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    with pytest.raises(DataError, match="InvalidAccessKeyId") as told:
        S3Store("closed", endpoint_url=endpoint).read("other/x")
    assert type(told.value) is DataError


def test_names_of_any_letters_are_listed_and_read(s3_server):
    name = "names/bin-images/a b+ä%25?#.jpg"
    s3_server.put({name: b"x"})
    store = S3Store(OPEN, "names", endpoint_url=s3_server.url, anonymous=True)
    (entry,) = store.list()

    assert entry.key == name.removeprefix("names/")
    assert store.read(entry.key, listed=entry) == b"x"
    assert isinstance(entry, Entry)


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://x", "http://a b"])
def test_an_endpoint_that_is_no_address_is_refused(url):
    with pytest.raises(SettingsError, match="endpoint_url must be as in"):
        S3Store("open", endpoint_url=url)


def test_a_key_that_leads_elsewhere_is_refused():
    with pytest.raises(Refused):
        S3Store("open", anonymous=True).read("../x")
