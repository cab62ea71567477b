from stocktake.runs import fingerprint


def of(**changes):
    what = {"settings": {"a": 1, "b": 2}, "inputs": {"photos": "x"}, "outside": ""} | changes
    return fingerprint.of_run("split", 1, **what)


def test_equal_data_has_an_equal_fingerprint_whatever_the_order():
    assert of() == of(settings={"b": 2, "a": 1})


def test_every_ingredient_changes_it():
    marks = {of(), of(settings={"a": 2}), of(inputs={"photos": "y"}), of(outside="listing")}

    assert len(marks) == 4


def test_a_file_is_known_by_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")

    assert fingerprint.of_file(tmp_path / "a").startswith("ba7816bf8f01cfea")
