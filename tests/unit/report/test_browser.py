"""The page as a person uses it, in a real browser."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from unit.browser import Open


def cells(page: Page, body: str, column: int) -> list[str]:
    """The texts of a table's column, counted from 1."""
    return page.locator(f"#{body} tr > :nth-child({column})").all_inner_texts()


def pixels(page: Page, number: int) -> str:
    """What one of the three canvases shows."""
    found: str = page.locator("#candidate canvas").nth(number).evaluate("each => each.toDataURL()")
    return found


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_it_is_whole_quiet_and_accessible(open_page: Open, report_page: Path, look: str, width: int) -> None:
    """Every picture is there, nothing overflows, nothing is asked for or refused, axe is content."""
    opened = open_page(report_page, width, color_scheme=look).is_ready()
    assert opened.said == []
    assert opened.outside == []
    assert opened.page.evaluate("window.violations") == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    broken = "[...document.images].filter((each) => each.naturalWidth === 0).length"
    assert opened.page.evaluate(broken) == 0
    assert opened.page.locator("img").count() > 4
    assert opened.serious_faults == []


def test_the_threshold_moves_counts_and_marks(open_page: Open, report_page: Path) -> None:
    page = open_page(report_page).is_ready().page
    slider = page.locator("#threshold")
    assert page.inner_text("#threshold-value") == "0.5"
    slider.focus()
    page.keyboard.press("Home")
    assert page.inner_text("#threshold-value") == "0"
    assert set(cells(page, "at-threshold", 3)) == {"0"}, "no nodule is missed at 0"
    marks = page.locator("#roc .chosen_marks path")
    assert marks.count() == 2
    before = [marks.nth(n).get_attribute("transform") for n in range(2)]
    page.keyboard.press("End")
    assert page.inner_text("#threshold-value") == "1"
    assert set(cells(page, "at-threshold", 2)) == {"0"}, "no nodule is found at 1"
    assert [marks.nth(n).get_attribute("transform") for n in range(2)] != before
    page.locator("button[data-threshold]").nth(1).click()
    assert page.inner_text("#threshold-value") not in ("0", "1")


def test_sorting_and_filtering(open_page: Open, report_page: Path) -> None:
    page = open_page(report_page).is_ready().page
    header = page.locator("button[data-sort=probability]")
    shown = [float(each) for each in cells(page, "candidates", 6)]
    assert shown == sorted(shown, reverse=True)
    header.click()
    shown = [float(each) for each in cells(page, "candidates", 6)]
    assert shown == sorted(shown)
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("probability")
    page.select_option("#filter-run", "b")
    page.select_option("#filter-kind", "nodule")
    assert set(cells(page, "candidates", 2)) == {"b"}
    assert set(cells(page, "candidates", 4)) == {"nodule"}
    page.fill("#filter-diameter-from", "6")
    assert all(float(each) >= 6 for each in cells(page, "candidates", 8))
    page.fill("#filter-series", "no such series")
    assert cells(page, "candidates", 2) == []
    assert page.inner_text("#listed").startswith("0 of ")
    page.click("form#filters button[type=reset]")
    page.wait_for_function("() => document.getElementById('candidates').children.length > 0")
    assert set(cells(page, "candidates", 2)) == {"a", "b"}


def test_slices_scroll_by_wheel_keys_and_touch(open_page: Open, report_page: Path) -> None:
    page = open_page(report_page, has_touch=True).is_ready().page
    axial, slider = page.locator("#candidate canvas").nth(0), page.locator("#candidate .planes input").nth(0)
    page.wait_for_function("() => document.querySelector('#candidate canvas').width > 1")
    seen = [pixels(page, 0)]
    middle = int(slider.input_value())
    axial.hover()
    page.mouse.wheel(0, 100)
    page.wait_for_function(f"() => document.querySelector('#candidate .planes input').value == {middle + 1}")
    seen.append(pixels(page, 0))
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert int(slider.input_value()) == middle + 2
    seen.append(pixels(page, 0))
    box = axial.bounding_box()
    assert box is not None
    finger = page.context.new_cdp_session(page)
    for kind, across in (("touchStart", 0), ("touchMove", 10), ("touchMove", 19), ("touchEnd", 19)):
        points = [] if kind == "touchEnd" else [{"x": box["x"] + 40 + across, "y": box["y"] + 40}]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function(f"() => document.querySelector('#candidate .planes input').value > {middle + 2}")
    seen.append(pixels(page, 0))
    assert len(set(seen)) == 4
    axial.click(position={"x": 30, "y": 30})
    assert int(page.locator("#candidate .planes input").nth(2).input_value()) < middle


def test_windows_saliency_and_other_runs(open_page: Open, report_page: Path) -> None:
    page = open_page(report_page).is_ready().page
    page.wait_for_function("() => document.querySelector('#candidate canvas').width > 1")
    lung = pixels(page, 0)
    page.check("input[value=mediastinum]")
    page.wait_for_function(
        "before => document.querySelector('#candidate canvas').toDataURL() !== before", arg=lung
    )
    mediastinum = pixels(page, 0)
    page.check("#saliency")
    page.wait_for_function(
        "before => document.querySelector('#candidate canvas').toDataURL() !== before", arg=mediastinum
    )
    number = page.inner_text("#candidate-title").split(":")[0]
    run = page.inner_text("#candidate-facts").split(",")[0]
    page.click("#candidate-others button")
    assert page.inner_text("#candidate-title").split(":")[0] == number
    assert page.inner_text("#candidate-facts").split(",")[0] != run


def test_keys_alone_are_enough(open_page: Open, report_page: Path) -> None:
    """From the table's first button: open, go on, and come to the slices."""
    page = open_page(report_page).is_ready().page
    page.locator("#candidates button").nth(2).focus()
    wanted = page.locator("#candidates button").nth(2).inner_text()
    page.keyboard.press("Enter")
    assert page.inner_text("#candidate-title").startswith(f"Candidate {wanted}:")
    assert page.evaluate("document.activeElement.id") == "candidate-title"
    following = page.locator("#candidates button").nth(3).inner_text()
    page.keyboard.press("n")
    assert page.inner_text("#candidate-title").startswith(f"Candidate {following}:")
    for _ in range(8):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#candidate .planes input')"):
            break
    else:
        pytest.fail("the slices cannot be reached by Tab")
    before = page.evaluate("document.activeElement.value")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.value") != before


def test_curves_tell_their_values(open_page: Open, report_page: Path) -> None:
    page = open_page(report_page).is_ready().page
    chart = page.locator("#roc svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    for nudge in (0, 3):
        page.mouse.move(box["x"] + box["width"] / 2 + nudge, box["y"] + box["height"] / 2)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "false positive rate" in page.inner_text("#vg-tooltip-element")
    labels = page.locator("#roc [aria-label*='recall']").count()
    assert labels > 2, "screen readers hear the points"


def test_without_scripts_figures_and_pictures_remain(open_page: Open, report_page: Path) -> None:
    opened = open_page(report_page, java_script_enabled=False)
    page = opened.page
    assert page.locator("figure svg").count() == 8
    assert page.locator("figure svg").first.is_visible()
    assert page.locator(".gallery img").first.is_visible()
    assert page.get_by_text("needs JavaScript").first.is_visible()
    assert not page.locator("#threshold").is_visible()


@pytest.mark.parametrize("where", ["series", "run"])
def test_hostile_names_inject_nothing(open_page: Open, report_page: Path, tmp_path: Path, where: str) -> None:
    """A series or a run with markup in its name, on the page and in its data."""
    evil = "</script><img src=x onerror='document.title=1'><script>document.title=2</script>"
    text = report_page.read_text(encoding="utf-8")
    escaped = evil.replace("<", "\\u003c")
    if where == "series":
        (uid,) = {*re.findall(r'"series":"([^"]+)"', text)[:1]}
        hostile = text.replace(f'"series":"{uid}"', f'"series":"{escaped}"')
    else:
        hostile = text.replace('"name":"a"', f'"name":"{escaped}"')
    assert hostile != text
    path = tmp_path / "hostile.html"
    path.write_text(hostile, encoding="utf-8")
    opened = open_page(path).is_ready()
    assert opened.page.title() == "Lung-nodule classification: report"
    assert opened.page.locator("img[src=x]").count() == 0


def test_the_policy_stops_what_gets_in_all_the_same(
    open_page: Open, report_page: Path, tmp_path: Path
) -> None:
    path = tmp_path / "injected.html"
    text = report_page.read_text(encoding="utf-8")
    evil = "<script>document.title='evil'</script><img src='http://127.0.0.1:9/x' onerror='document.title=1'>"
    path.write_text(text.replace("<h1>", f"{evil}<h1>"), encoding="utf-8")
    opened = open_page(path).is_ready()
    assert opened.page.title() == "Lung-nodule classification: report"
    assert any(each.startswith("script-src") for each in opened.page.evaluate("window.violations"))
    assert any(each.startswith("img-src") for each in opened.page.evaluate("window.violations"))


def test_a_hostile_comment_is_escaped(report_page: Path) -> None:
    """What Python writes into a script element cannot end it."""
    from luna.report.charts import embedded_json

    written = embedded_json({"name": "</script><!-- \u2028"})
    assert "<" not in written
    assert "\u2028" not in written


def test_axe_would_tell(open_page: Open, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<html><body><img src='data:,'><input></body></html>", encoding="utf-8")
    assert {"image-alt", "label"} <= {rule for rule, _ in open_page(path).serious_faults}
