"""`lepton export` as a user calls it."""

from __future__ import annotations

from pathlib import Path

from lepton.cli.main import run


def test_export_says_what_was_checked(in_folder: Path, call, tmp_path):
    made = tmp_path / "made"
    code, envelope = call("export", "houses.lepton", "--to", "triton", "-o", str(made), "--data", "houses.csv")
    assert code == 0
    assert (envelope["result"]["to"], envelope["result"]["rows"]) == ("triton", 256)
    assert (made / "houses" / "1" / "model.onnx").is_file()
    code, envelope = call("export", "houses.lepton", "--to", "triton", "-o", str(made))
    assert code == 3
    assert "there already" in envelope["error"]["message"]


def test_export_to_a_strange_place(in_folder: Path, capsys, tmp_path):
    assert run(["export", "houses.lepton", "--to", "abacus", "-o", str(tmp_path / "made")]) == 2
    assert "c-header" in capsys.readouterr().err
