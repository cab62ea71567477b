import os
import subprocess
import sys

from stocktake.serve.metrics import Metrics

ONE = """
import sys
from stocktake.serve.metrics import Metrics
made = Metrics(bundle="abc", backbone="small")
made.requests.labels(path="/v1/count", status="200").inc(int(sys.argv[1]))
print(made.text().decode())
"""


def test_the_text_has_what_was_counted_and_names_the_bundle():
    made = Metrics(bundle="abc", backbone="small")
    made.photos.labels(outcome="accept").inc(3)

    text = made.text().decode()

    assert 'stocktake_photos_total{outcome="accept"} 3.0' in text
    assert 'stocktake_bundle{backbone="small",bundle="abc"} 1.0' in text


def test_processes_that_share_a_folder_add_up(tmp_path):
    shared = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}

    said = [
        subprocess.run(
            [sys.executable, "-c", ONE, str(n)], env=shared, capture_output=True, text=True
        ).stdout
        for n in (2, 5)
    ]

    assert 'stocktake_requests_total{path="/v1/count",status="200"} 7.0' in said[1]
