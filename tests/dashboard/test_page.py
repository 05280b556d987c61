"""The page for people: what it tells, and what it does to a browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, sync_playwright

from ai_engine.access.principals import EVERYTHING
from ai_engine.dashboard.charts import sparkline
from ai_engine.dashboard.schedules import planned
from ai_engine.dashboard.summary import MODELS_A_PAGE
from ai_engine.domain.entities import Run
from ai_engine.domain.performance import ModelPerformance
from ai_engine.domain.rights import Rights, Scope
from ai_engine.domain.schedules import Happening, Schedule
from ai_engine.jobs.schedules import new_schedule
from ai_engine.registry.json_views import last_shape
from tests.api.serving import Served, serving
from tests.reports.test_page import FULL
from tests.upgrade.original import Original

CHROMIUM = "/usr/bin/chromium"
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "it's mine") as served:
        yield served


def measured(mae: float) -> ModelPerformance:
    return ModelPerformance(mae, None, None, None, None, None, None, None)


def fill(server: Served) -> None:
    for mae, skill in ((4.0, 0.1), (3.0, 0.325)):
        metrics = {"mae": mae, "skill": skill, "r2": None}
        server.registry.save(
            "cpu",
            mae,
            model_type="resource_prediction",
            algorithms=["Ridge"],
            metadata={"performance_metrics": metrics},
            performance=measured(mae),
        )
    server.registry.save("worse", 1, metadata={"performance_metrics": {"mae": 9.0, "skill": -0.5}})
    server.registry.save("unmeasured", 1, activate=False)


def test_an_empty_page_has_the_command_that_fills_it(server: Served) -> None:
    page = server.get("/").text
    assert "No model yet" in page
    # Quoted for the shell, and then for the page.
    assert "ai-engine train --model-dir &#39;" in page
    assert f"curl {server.url}/train" in page


def test_models_are_shown_with_what_was_measured(server: Served) -> None:
    fill(server)
    page = server.get("/").text
    assert "3 models, 4 versions" in page
    assert "Healthy" in page
    assert "32 % better" in page
    assert "50 % worse" in page
    assert '<span class="tag">1.0.1</span>' in page
    assert "no active version" in page
    assert "This version has no measurements yet" in page
    assert 'aria-label="Mean error, last 2 versions: 4 to 3"' in page


def test_what_others_wrote_is_text(tmp_path: Path) -> None:
    original = Original(tmp_path)
    name, version = "<script>alert('name')</script>\" onload=\"x", "<img src=x>"
    original.save(name, version, 1, path=tmp_path / "1.pkl", metadata="[1, NaN]")
    original.close()
    with serving(tmp_path) as server:
        server.registry.save("x", 1, model_type="<b>kind</b>", algorithms=["<i>"])
        page = server.get("/").text
    assert "&lt;script&gt;alert(&#39;name&#39;)&lt;/script&gt;&#34; onload=&#34;x" in page
    for evil in ("<script", "<img src=x>", "<b>", "<i>"):
        assert evil not in page


def test_many_models_come_in_pages(server: Served) -> None:
    for number in range(MODELS_A_PAGE + 1):
        server.registry.save(f"m {number:03d}+", number)
    first = server.get("/").text
    assert first.count("<article") == MODELS_A_PAGE
    link = first.partition('href="/?after=')[2].partition('"')[0]
    second = server.get(f"/?after={link}").text
    assert second.count("<article") == 1
    assert f"m {MODELS_A_PAGE:03d}+" in second
    assert "no further models" in server.get("/?after=zzz").text


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/static/style.css", "text/css"), ("/static/favicon.svg", "image/svg"), ("/favicon.ico", "image/svg")],
)
def test_static_files_are_served(server: Served, path: str, kind: str) -> None:
    answer = server.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("values", [[], [1.0], [float("nan"), 1.0], [float("inf")] * 3])
def test_there_is_no_line_through_less_than_two_points(values: list[float]) -> None:
    assert sparkline([(str(index), value) for index, value in enumerate(values)], None) is None


@pytest.mark.parametrize("values", [[1.0, 1.0], [-1e308, 1e308], [0.0, 5e-324], [3.0, 1.0, 2.0] * 7])
def test_every_line_stays_in_its_box(values: list[float]) -> None:
    line = sparkline([(str(index), value) for index, value in enumerate(values)], "1")
    assert line is not None
    for point in line.points.split():
        x, y = map(float, point.split(","))
        assert 0 <= x <= line.width
        assert 0 <= y <= line.height


# -- in a browser -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"there is no browser in {CHROMIUM}; apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield browser.new_page(viewport={"width": 390, "height": 800})
        browser.close()


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_browser_shows_it_without_the_network_and_without_a_complaint(
    page: Page, server: Served, full: bool, scheme: str, path: str
) -> None:
    if full:
        fill(server)
        server.registry.save("x" * 200, 1)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two literals
    hosts: set[str | None] = set()
    complaints: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    answer = page.goto(f"{server.url}{path}", wait_until="networkidle")
    assert answer is not None
    assert answer.status == 200
    assert hosts == {"127.0.0.1"}
    assert complaints == []
    assert page.evaluate("getComputedStyle(document.body).margin") == "0px"  # the style sheet was let in
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0  # a telephone need not scroll sideways
    assert page.get_by_role("heading", level=1).count() == 1
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"


def test_somebody_signs_in_with_a_key_and_out_again(page: Page, server: Served) -> None:
    fill(server)
    made = server.service.keyring.create("Ada", Rights(frozenset({Scope.READ})))
    page.goto(f"{server.url}/?after=a", wait_until="networkidle")
    assert page.get_by_role("heading", level=1).inner_text() == "Sign in"
    assert page.evaluate("document.activeElement.id") == "key"
    page.get_by_label("Key").fill(made.text[:-1])
    page.keyboard.press("Enter")
    page.wait_for_load_state("networkidle")
    assert "no whole key" in page.get_by_role("alert").inner_text()
    page.get_by_label("Key").fill(made.text)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{server.url}/?after=a")
    assert page.get_by_text("Ada").is_visible()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{server.url}/sign-in")
    page.goto(server.url, wait_until="networkidle")
    assert page.get_by_role("heading", level=1).inner_text() == "Sign in"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_report_that_a_model_leads_to(
    page: Page, server: Served, scheme: str, width: int
) -> None:
    """Wide tables scroll by themselves, and what is drawn is seen in both schemes."""
    wide_rows = {"cpu": [{f"column {number}": "wide" * 5 for number in range(9)}]}
    metadata = {"performance_metrics": FULL["metrics"], "candidates": FULL["leaderboard"]}
    run = Run(None, None, 1, report=FULL | {"worst": wide_rows})
    server.registry.save("cpu+a b", 1, run=run, metadata=metadata)
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of the two literals
    hosts: set[str | None] = set()
    complaints: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(server.url, wait_until="networkidle")
    page.get_by_role("link", name="Report of cpu+a b 1.0.0").click()
    page.wait_for_load_state("networkidle")
    assert page.get_by_role("heading", level=1).inner_text() == "cpu+a b"
    assert complaints == []
    assert hosts <= {"127.0.0.1", None, ""}
    across = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(across) == 0
    pictures = page.get_by_role("img")
    assert pictures.count() == 8
    assert page.evaluate("[...document.querySelectorAll('svg')].every(one => one.clientWidth > 200)")
    ink = "one => getComputedStyle(one).stroke != getComputedStyle(one.closest('.card')).backgroundColor"
    assert page.evaluate(f"[...document.querySelectorAll('polyline')].every({ink})")
    page.get_by_text("The numbers").first.click()
    assert page.get_by_role("table").first.is_visible()
    page.get_by_role("link", name="NovaCron AI Engine").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Models"
    page.set_viewport_size({"width": 390, "height": 800})


def test_schedules_are_shown_those_with_trouble_first(tmp_path: Path) -> None:
    with serving(tmp_path / "models", workers=0) as server:
        assert "Trained again by themselves" not in server.get("/").text
        for name in ("a", "b"):
            given = {"source": f"{tmp_path}/{name}.csv", "rows": 5, "model_type": "resource_prediction"}
            server.registry.schedules.put(new_schedule(server.registry, name, given))
        told = planned({"schedules": [_told(one) for one in server.registry.schedules.page()]}, EVERYTHING)
        assert [(one.name, one.following, one.last, one.bad) for one in told] == [
            ("a", "once enough rows have come", None, False),
            ("b", "once enough rows have come", None, False),
        ]
        turn = server.registry.schedules.get("b").turn
        server.registry.schedules.passed(turn, Happening.UNREADABLE, "there is no <file>")
        shown, _ = server.registry.schedules.told(5)
        assert [one.name for one in shown] == ["b", "a"]
        bad = planned({"schedules": [_told(one) for one in shown]}, EVERYTHING)[0]
        assert (bad.following, bad.last, bad.because, bad.bad) == (
            "once it can be read",
            "no source",
            "there is no <file>",
            True,
        )
        page = server.get("/").text
        while "there is no" not in page:  # what health says is asked for once a second
            page = server.get("/").text
        assert "there is no &lt;file&gt;" in page
        assert page.index(">b</th>") < page.index(">a</th>")


def _told(schedule: Schedule) -> dict[str, object]:
    return {
        "model_name": schedule.name,
        "next_at": None,
        "last": last_shape(schedule.last),
        "warning": schedule.warning,
    }
