def test_a_run_ends_with_its_report(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sets = ["--set", "paint.photos=12", "--set", "paint.processes=1", "--set", "explore.seed=0"]
    source = "ingest.source=runs/default/paint/artifacts/bucket"
    said = say("run", *sets, "--set", source)

    assert said.code == 0, said.err
    assert said.out.strip().endswith("report: runs/default/report.html")
    assert (tmp_path / "runs/default/report.html").exists()


def test_a_misspelled_part_is_found_before_anything_runs(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["paint.photos=2", "ingest.source=x", "train.loss={name='soft-labels', sgima=1}"]
    said = say("run", *(part for word in words for part in ("--set", word)))

    assert said.code == 2
    assert "loss 'soft-labels' has no option 'sgima'; it takes: sigma" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_fails_hides_no_error(say, tmp_path, monkeypatch):
    def broken(folder: object) -> None:
        raise KeyError("section")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stocktake.pages.report.write_report", broken)
    sets = ["--set", "paint.photos=2", "--set", "paint.processes=1"]
    said = say("run", *sets, "--set", "ingest.source=nowhere")

    assert "warning: the report could not be written" in said.err
    assert "nowhere" in said.err.splitlines()[-1]


def test_a_failed_stage_still_leaves_a_report_of_what_was_done(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sets = ["--set", "paint.photos=2", "--set", "paint.processes=1"]
    said = say("run", *sets, "--set", "ingest.source=nowhere")

    assert said.code in (2, 3)
    assert said.err.splitlines()[-1].startswith("error: ")
    assert (tmp_path / "runs/default/report.html").exists()
