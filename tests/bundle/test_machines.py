"""What a measurement is true of."""

from lepton.bundle import machine
from lepton.bundle.machines import machine_type


def test_the_type_of_a_machine_is_what_decides_about_settings() -> None:
    here = machine()
    assert machine_type() == {name: here[name] for name in ("cpu", "cores", "architecture", "onnxruntime")}
    assert here["cores"] >= 1
    assert here["cpu"]
