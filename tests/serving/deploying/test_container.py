"""The container file copies models and no secret, and runs without root."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from lepton.core import UsageError
from lepton.serving.deploying import Asked, container_file

OPTIONS = {
    "token_file": Path("secret/token"),
    "traffic": Path("rules/traffic.yaml"),
    "state": Path("here"),
    "watch": True,
}


def lines(text: str, word: str) -> list[str]:
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(word + " ")]


def test_it_holds_the_models_and_no_secret():
    text = container_file(Asked(("shop=models/a b.lepton", "service.py:Shop"), {**OPTIONS, "grpc_port": 9000}, 8080))
    assert [json.loads(line) for line in lines(text, "COPY")] == [
        ["models/a b.lepton", "/models/a b.lepton"],
        ["service.py", "/models/service.py"],
        ["rules/traffic.yaml", "/etc/lepton/traffic.yaml"],
    ]
    (words,) = (json.loads(line) for line in lines(text, "ENTRYPOINT"))
    assert words[:4] == ["lepton", "serve", "shop=/models/a b.lepton", "/models/service.py:Shop"]
    given = dict(pairwise(words))
    assert given["--host"] == "0.0.0.0"
    assert given["--port"] == "8080"
    assert given["--token-file"] == "/run/lepton/token_file"
    assert given["--state"] == "/var/lib/lepton"
    assert lines(text, "USER") == ["10001:10001"]
    assert lines(text, "EXPOSE") == ["8080 9000"]
    assert "lepton-ai[grpc]==" in text
    assert "--read-only" in text
    (probe,) = lines(text, "HEALTHCHECK")
    assert "/v2/health/ready" in probe
    assert "'/run/lepton/token_file'" in probe


def test_a_server_that_no_probe_can_ask_has_none():
    text = container_file(Asked(("a.lepton",), {"tls_client_ca": Path("ca"), "tls_cert": Path("c")}, 8080))
    assert not lines(text, "HEALTHCHECK")


@pytest.mark.parametrize(
    ("models", "options", "told"),
    [
        (("a.lepton",), {}, "would log it"),
        (("/etc/a.lepton",), OPTIONS, "/etc/a.lepton"),
        (("../a.lepton",), OPTIONS, r"\.\./a\.lepton"),
        (("x=one/a.lepton", "y=two/a.lepton"), OPTIONS, "one name"),
    ],
)
def test_what_cannot_be_a_container_is_refused(models, options, told):
    with pytest.raises(UsageError, match=told):
        container_file(Asked(models, options, 8080))
