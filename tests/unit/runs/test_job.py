import msgspec

from stocktake.runs.job import Job
from stocktake.stages.worker import to_json


def test_a_job_survives_the_way_to_a_worker():
    job = Job(stage="split", settings={"seed": 3}, inputs={"photos": "runs/a/ingest"}, output="o")

    assert msgspec.json.decode(to_json(job), type=Job) == job
