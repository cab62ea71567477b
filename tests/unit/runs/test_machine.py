from stocktake.runs import machine


def test_versions_name_python_and_what_decides_figures():
    found = machine.versions()

    assert found["python"].startswith("3.")
    assert "numpy" in found


def test_the_machine_is_described():
    found = machine.describe()

    assert int(str(found["cpus"])) >= 1
    assert float(str(found["memory_gb"])) > 0
