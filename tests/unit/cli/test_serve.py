def test_a_folder_without_a_bundle_is_one_line(say, tmp_path):
    said = say("serve", tmp_path)

    assert said.code == 2 and "holds no bundle" in said.err


def test_a_folder_that_is_not_there_is_said_to_be(say, tmp_path):
    said = say("serve", tmp_path / "nowhere")

    assert said.code == 2 and "there is no folder" in said.err


def test_only_serve_settings_are_taken(say, tmp_path):
    said = say("serve", tmp_path, "--set", "train.epochs=1")

    assert said.code == 2 and "takes serve.KEY" in said.err


def test_an_unknown_setting_is_answered_with_the_nearest(say, tmp_path):
    said = say("serve", tmp_path, "--set", "serve.prot=1")

    assert said.code == 2 and "did you mean 'port'?" in said.err


def test_without_a_bundle_one_is_asked_for(say, tmp_path, monkeypatch):
    monkeypatch.setenv("SAGEMAKER_BASE_DIR", str(tmp_path))

    said = say("serve")

    assert said.code == 2 and "serve needs a BUNDLE" in said.err
