def test_a_run_ends_with_its_report(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sets = ["--set", "paint.photos=12", "--set", "paint.processes=1", "--set", "explore.seed=0"]
    source = "ingest.source=runs/default/paint/artifacts/bucket"
    said = say("run", *sets, "--set", source)

    assert said.code == 0, said.err
    assert said.out.strip().endswith("report: runs/default/report.html")
    assert (tmp_path / "runs/default/report.html").exists()


def test_a_failed_stage_still_leaves_a_report_of_what_was_done(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sets = ["--set", "paint.photos=2", "--set", "paint.processes=1"]
    said = say("run", *sets, "--set", "ingest.source=nowhere")

    assert said.code in (2, 3)
    assert said.err.splitlines()[-1].startswith("error: ")
    assert (tmp_path / "runs/default/report.html").exists()
