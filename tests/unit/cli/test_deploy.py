def test_a_bundle_needs_a_name(say, tmp_path):
    said = say("deploy", tmp_path)

    assert said.code == 2 and "--name" in said.err


def test_a_folder_without_a_bundle_is_one_line(say, tmp_path):
    said = say("deploy", tmp_path, "--name", "bins")

    assert said.code == 2 and "holds no bundle" in said.err


def test_only_serve_settings_are_taken(say, tmp_path):
    said = say("deploy", tmp_path, "--name", "bins", "--set", "train.epochs=1")

    assert said.code == 2 and "takes serve.KEY" in said.err


def test_an_update_of_what_is_not_there_is_one_line(say, tmp_path, monkeypatch):
    from bright import write_bundle

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = write_bundle(tmp_path / "bundle")

    said = say("deploy", folder, "--name", "bins", "--update")

    assert said.code != 0 and "bins" in said.err and "Traceback" not in said.err
    assert not (tmp_path / "state" / "stocktake" / "endpoints" / "bins").exists()
