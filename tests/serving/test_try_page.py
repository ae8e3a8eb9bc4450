"""The page to try a model: its policy, its text, and what a browser makes of it."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html.parser
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from lepton.serving import Server, new_token
from lepton.serving.try_page import PAGE, POLICY
from tests.serving.wire import Address, request

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class _Elements(html.parser.HTMLParser):
    """Elements with their attributes, and the texts of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self._inside, data)


@pytest.fixture(scope="module")
def page() -> _Elements:
    page = _Elements()
    page.feed(PAGE)
    return page


def test_nothing_comes_from_elsewhere_and_nothing_runs_but_the_script(page: _Elements) -> None:
    for tag, attributes in page.found:
        assert not {"src", "href", "action", "style", "srcset"} & attributes.keys(), tag
        assert not [name for name in attributes if name.startswith("on")], tag
    assert [tag for tag, _ in page.found].count("script") == 1
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.texts[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in POLICY
    assert "unsafe" not in POLICY
    assert "default-src 'none'" in POLICY


def test_the_script_writes_texts_and_never_html(page: _Elements) -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|localStorage"
    assert not re.search(forbidden, page.texts["script"])
    assert "http" not in page.texts["script"]


def test_every_field_has_a_label_and_every_id_is_there_once(page: _Elements) -> None:
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'here\("([a-z]+)"\)', page.texts["script"])) == set(ids)
    labels = [attributes.get("for") for tag, attributes in page.found if tag == "label"]
    assert labels == ["token"]


def test_the_page_is_answered_with_its_policy_alone(server: Server) -> None:
    answer = request((server.host, server.port), "GET", "/v2/models/sold/try")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.body.decode() == PAGE
    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    unknown = request((server.host, server.port), "GET", "/v2/models/%3Cscript%3E/try")
    assert unknown.body == answer.body


def test_a_server_with_a_token_shows_the_page_and_nothing_more_without_it(bundles: dict[str, Path]) -> None:
    with Server({"sold": bundles["sold"]}, port=0, token=new_token()) as server:
        address: Address = (server.host, server.port)
        assert request(address, "GET", "/v2/models/sold/try").body.decode() == PAGE
        for path in ("/openapi.json", "/v2/models/sold", "/v2/models/sold/try/x", "/"):
            assert request(address, "GET", path).status == 401
        assert request(address, "POST", "/v2/models/sold/try", b"{}").status == 401


def test_pages_of_other_sites_do_not_get_the_page(server: Server) -> None:
    headers = {"Origin": "http://evil.example"}
    assert request((server.host, server.port), "GET", "/v2/models/sold/try", headers=headers).status == 403


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_builds_the_form_from_the_signature(server: Server) -> None:
    shown = browse(f"{server.url}/v2/models/sold/try")
    assert '<h1 id="title">sold</h1>' in shown
    assert re.search(r'<label for="field-0">rooms<small>a number</small></label><input[^>]*inputmode="decimal"', shown)
    assert '<label for="field-2">garden<small>true or false</small></label><select id="field-2">' in shown
    assert re.search(r"curl 'http://127\.0\.0\.1:\d+/v2/models/sold/rows'", shown)
    assert '{"rooms":null,"town":null,"garden":true}' in shown
    assert '<form id="access" hidden="">' in shown


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_says_what_is_missing(server: Server, bundles: dict[str, Path]) -> None:
    assert "The model is not ready: " in browse(f"{server.url}/v2/models/damaged/try")
    with Server({"sold": bundles["sold"]}, port=0, token=new_token()) as guarded:
        shown = browse(f"{guarded.url}/v2/models/sold/try")
    assert '<form id="access">' in shown
    assert "shows no valid token" in shown


def browse(url: str) -> str:
    """What a browser shows at an address, as HTML."""
    assert BROWSER is not None
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "shown").open("w+b") as shown:
        browser = subprocess.Popen(
            [BROWSER, *options, f"--user-data-dir={folder}/profile", url],
            stdout=shown,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that its own processes end with it
        )
        try:
            assert browser.wait(60) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
        shown.seek(0)
        return shown.read().decode()
