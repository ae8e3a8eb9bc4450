"""Pictures, sounds and tensors over HTTP: every form gives the same answer, and what is wrong is a 4xx that says so."""

from __future__ import annotations

import base64
import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.client import Client
from lepton.core import LeptonError
from lepton.serving import Server
from tests.bundle.pictures import picture_bytes, sound_bytes, write_brightness, write_loudness, write_sums

LIGHT = np.full((4, 5, 3), 200, dtype=np.uint8)
JPEG, PNG = picture_bytes(LIGHT, "JPEG"), picture_bytes(LIGHT)
WAV = sound_bytes(np.full((960, 2), 0.5), 48_000)
FLAC = sound_bytes(np.full(800, 0.5), 8_000, "FLAC")
NAMED = {"x-request-id": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("cells")
    models = {name: folder / f"{name}.lepton" for name in ("photos", "clips", "sums")}
    write_brightness(models["photos"])
    write_loudness(models["clips"])
    write_sums(models["sums"])
    with Server(models, port=0, state=folder / "state") as server:
        yield server


def ask(server: Server, path: str, body: bytes, kind: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sent = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request("POST", f"/v2/models/{path}", body, sent)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)


def infer(server: Server, model: str, *inputs: dict[str, Any]) -> tuple[int, Any]:
    return ask(server, f"{model}/infer", json.dumps({"inputs": inputs}).encode(), "application/json")


@pytest.mark.parametrize(
    ("model", "body", "kind", "answer"),
    [
        ("photos", JPEG, "image/jpeg", "light"),
        ("photos", PNG, "image/png", "light"),
        ("photos", PNG, "image/jpeg", "light"),  # a file says itself what it is
        ("clips", WAV, "audio/wav", 0.25),
        ("clips", WAV, "audio/x-wav", 0.25),
        ("clips", FLAC, "audio/flac", 0.25),
    ],
)
def test_a_file_is_a_body(server: Server, model: str, body: bytes, kind: str, answer: Any) -> None:
    status, found = ask(server, f"{model}/rows", body, kind)
    assert status == 200, found
    assert found["predictions"] == [answer if isinstance(answer, str) else pytest.approx(answer, abs=0.03)]


def test_other_forms_of_the_same(server: Server) -> None:
    text = base64.b64encode(PNG).decode()
    for rows in ({"photo": text}, {"rows": [{"photo": "data:image/png;base64," + text}]}):
        status, found = ask(server, "photos/rows", json.dumps(rows).encode(), "application/json")
        assert (status, found["predictions"]) == (200, ["light"])
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PNG + b"\r\n--b--"
    assert ask(server, "photos/rows", form, "multipart/form-data; boundary=b", **NAMED)[1]["predictions"] == ["light"]
    column = {"name": "photo", "datatype": "BYTES", "shape": [2], "data": [text, text]}
    status, found = infer(server, "photos", column)
    assert (status, found["outputs"][0]["data"]) == (200, ["light", "light"])
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 5, 3], "data": LIGHT.ravel().tolist()}
    status, found = infer(server, "photos", image)
    assert found["outputs"][0]["data"] == ["light"]


def test_binary_tensors(server: Server) -> None:
    with Client(f"http://127.0.0.1:{server.port}") as client:
        assert client.infer("photos", {"image": LIGHT[None]})["prediction"].tolist() == ["light"]
        files = np.array([PNG, JPEG], dtype=object)
        head = {"name": "photo", "datatype": "BYTES", "shape": [2]}
        data = b"".join(len(file).to_bytes(4, "little") + file for file in files)
        body = json.dumps({"inputs": [{**head, "parameters": {"binary_data_size": len(data)}}]}).encode()
        status, found = ask(
            server,
            "photos/infer",
            body + data,
            "application/octet-stream",
            Inference_Header_Content_Length=str(len(body)),
        )
        assert (status, found["outputs"][0]["data"]) == (200, ["light", "light"])
        answers = client.infer("sums", {name: np.full((2, 2), 3, dtype=np.float32) for name in "ab"})
        assert answers["product"].tolist() == [[9, 9], [9, 9]]


def test_the_client_takes_files(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "light.jpg"
    path.write_bytes(JPEG)
    with Client(f"http://127.0.0.1:{server.port}") as client:
        assert client.predict("photos", JPEG) == ["light"]
        assert client.predict("photos", path) == ["light"]
        assert client.predict("photos", [PNG, path]) == ["light", "light"]
        assert client.predict_proba("photos", PNG)[0]["light"] == pytest.approx(200 / 255)
        assert client.predict("clips", WAV) == [pytest.approx(0.25, abs=0.03)]
        with pytest.raises(LeptonError, match="cannot be read"):
            client.predict("photos", tmp_path / "none.jpg")
        with pytest.raises(LeptonError, match="text/plain"):
            client.predict("photos", "a text")


def test_what_a_model_says_of_itself(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/v2/models/photos")
    told = json.loads(connection.getresponse().read())
    assert told["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]
    assert told["columns"] == [{"name": "photo", "kind": "image", "dtype": "string"}]
    connection.request("GET", "/openapi.json")
    api = json.loads(connection.getresponse().read())
    taken = {
        name: api["paths"][f"/v2/models/{name}/rows"]["post"]["requestBody"]["content"] for name in ("photos", "clips")
    }
    assert {"image/jpeg", "image/png"} <= taken["photos"].keys()
    assert {"audio/wav", "audio/flac"} <= taken["clips"].keys()
    assert "image/png" not in taken["clips"]
    column = next(schema for name, schema in api["components"]["schemas"].items() if name.startswith("Row_photos"))
    assert column["properties"]["photo"]["contentEncoding"] == "base64"
    connection.close()


@pytest.mark.parametrize(
    ("path", "body", "kind", "status", "said"),
    [
        ("photos/rows", JPEG[:150], "image/jpeg", 422, "row 0 .* cannot be read"),
        ("photos/rows", b"GIF89a....", "image/png", 422, "neither JPEG nor PNG"),
        ("photos/rows", b"", "image/png", 400, "empty"),
        ("photos/rows", WAV, "audio/wav", 415, "image/jpeg"),
        ("photos/rows", b"hello", "text/plain", 415, "x-request-id|X-Request-Id"),
        ("photos/rows", b"x", "image/gif", 415, "image/gif"),
        ("photos/infer", PNG, "image/png", 415, "image/png"),
        ("photos/rows", b'[{"photo": "/etc/passwd"}]', "application/json", 422, "no base64"),
        ("photos/rows", b'[{"photo": null}]', "application/json", 422, "no base64"),
        ("photos/rows", b'[{"foto": "aGVs"}]', "application/json", 422, "'photo' alone"),
        ("photos/rows", b'[{"photo": [1]}]', "application/json", 422, "an array"),
        ("clips/rows", sound_bytes(np.zeros(0), 8_000), "audio/wav", 422, "no samples"),
        ("clips/rows", WAV[: len(WAV) // 2], "audio/wav", 422, "truncated"),
        ("sums/rows", b'[{"a": 1, "b": 2}]', "application/json", 422, "infer"),
        ("sums/rows", PNG, "image/png", 415, "rows of a table"),
    ],
)
def test_bodies_that_are_refused(server: Server, path: str, body: bytes, kind: str, status: int, said: str) -> None:
    found, answer = ask(server, path, body, kind)
    assert found == status, answer
    assert re.search(said, answer["error"]), answer


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        ("photos", {"datatype": "FP32", "data": [0.5] * 60}, "0 to 255"),
        ("photos", {"shape": [1, 3, 4, 5]}, "channels come last"),
        ("photos", {"shape": [1, 60]}, r"image uint8 \[N"),
        ("photos", {"data": [None] * 60}, "null"),
        ("photos", {"name": "photo"}, "BYTES"),
        ("photos", {"name": "photo", "datatype": "BYTES", "shape": [2, 2], "data": ["", "", "", ""]}, r"\[N\]"),
        ("sums", {"name": "a", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}, "missing tensors: b"),
    ],
)
def test_tensors_that_are_refused(server: Server, model: str, changes: dict[str, Any], said: str) -> None:
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 4, 5, 3], "data": LIGHT.ravel().tolist()}
    status, answer = infer(server, model, {**image, **changes})
    assert status == 422, answer
    assert re.search(said, answer["error"]), answer
