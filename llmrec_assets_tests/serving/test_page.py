"""The page, end to end: a real service, a real browser, and what a person does with them."""

import os
import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect

from llmrec_assets_tests.serving.browser import Page, a_browser
from llmrec_assets_tests.serving.store import CATEGORIES


@pytest.fixture(scope="module")
def browser():
    with a_browser() as browser:
        yield browser


@pytest.fixture
def page(browser, shared):
    """A tab at the shared service; nothing fails there and no other host is asked."""
    page = Page(browser, shared.port)
    yield page
    page.context.close()
    assert page.errors == []
    assert page.hosts == {f"127.0.0.1:{shared.port}"}


def test_a_user_is_found_with_history_and_list(page, shared):
    page.open()
    page.tab.get_by_label("User", exact=True).fill("u0001")
    page.changes(page.tab.get_by_role("button", name="Show", exact=True).click)
    told = shared.client().recommend("u0001", k=10).json
    assert page.items == [row["item_id"] for row in told["items"]]
    expect(page.tab.locator("#items h3").first).to_contain_text(told["items"][0]["title"])
    past = shared.client().get("/v1/users/u0001/history").json["events"]
    expect(page.tab.locator("#timeline circle")).to_have_count(len(past))
    assert past[0]["title"] in page.events()[0]
    expect(page.tab.locator("#made")).to_contain_text(told["model_version"])
    expect(page.tab.locator("#model-facts")).to_contain_text(told["model_version"])


def test_an_unknown_user_and_nobody_are_told_what_they_get(page):
    page.open("no such user")
    expect(page.tab.locator("#timeline")).to_contain_text("list of a newcomer")
    page.changes(page.tab.get_by_role("button", name="Session of nobody").click)
    expect(page.tab.locator("#timeline")).to_contain_text("session of nobody")


def test_filters_change_the_list_at_once(page, store):
    facts = store.package().items.set_index("item_id")
    page.open("u0001")
    page.tab.get_by_label("Categories", exact=True).fill(CATEGORIES[1])
    page.changes(page.tab.get_by_role("button", name="Add", exact=True).click)
    assert set(facts.loc[page.items, "category"]) == {CATEGORIES[1]}
    page.changes(lambda: page.tab.get_by_label("Price to").fill("30"))
    assert page.items
    assert facts.loc[page.items, "price"].max() <= 30
    page.changes(page.tab.get_by_role("button", name=f"Remove {CATEGORIES[1]}").click)
    assert len(set(facts.loc[page.items, "category"])) > 1
    page.changes(lambda: page.tab.get_by_label("Price to").fill("0"))
    expect(page.tab.locator("#items")).to_contain_text("loosen the filters")


def test_diversity_changes_the_list(page):
    page.open("u0001")
    before, after = page.changes(lambda: page.tab.get_by_label("Diversity λ").fill("1"))
    assert before != after
    expect(page.tab.locator("#options .slider span").first).to_have_text("1")
    page.changes(lambda: page.tab.get_by_label("Diversity λ").fill("0"))
    assert page.items == before


def test_of_answers_that_cross_the_newest_is_shown(page, shared):
    page.open("u0001")
    slider = page.tab.get_by_label("Diversity λ")
    with page.tab.expect_response(lambda r: (r.request.post_data_json or {}).get("diversity") == 1):
        for value in ("0.2", "0.9", "0.4", "1"):
            slider.fill(value)
    wanted = shared.client().recommend("u0001", k=10, diversity=1).json["items"]
    assert page.settled().items == [row["item_id"] for row in wanted]


def test_at_most_n_of_a_category(page, store):
    facts = store.package().items.set_index("item_id")
    page.open("u0001")
    page.changes(lambda: page.tab.get_by_label("Most of one category").fill("1"))
    assert facts.loc[page.items, "category"].is_unique


def test_reasons_are_drawn_and_told(page, shared):
    page.open("u0001")
    first = page.items[0]
    page.button("Why?", first).click()
    reasons = page.tab.locator(".reasons").first
    asked = {"user_id": "u0001", "item_id": first, "language": "en"}
    told = shared.client().post("/v1/why", asked).json
    expect(reasons.locator(".sentence")).to_have_text(told["sentence"])
    expect(reasons).to_contain_text(told["drivers"][0]["title"])
    largest = f"{told['drivers'][0]['effect']:+.2f}"
    expect(reasons.locator("table.bars .value").first).to_have_text(largest)
    expect(reasons.locator("table.bars svg rect").first).to_be_visible()
    page.tab.locator("#language").click()
    chinese = shared.client().post("/v1/why", {**asked, "language": "zh"}).json["sentence"]
    expect(page.tab.locator(".reasons .sentence")).to_have_text(chinese)
    page.button("为什么？", first).click()
    expect(page.tab.locator(".reasons").first).to_be_hidden()


def test_a_session_and_a_cart_move_the_list_and_are_not_recorded(page):
    page.open("u0001")
    page.tab.get_by_label("Only try out on this page").check()
    first = page.items[0]
    before, after = page.changes(page.button("Buy", first).click)
    assert first not in after
    assert before != after
    expect(page.tab.locator("#events > li").first).to_contain_text("tried out")
    page.tab.get_by_label("Find an item by its title").fill("blue tea")
    page.tab.get_by_role("button", name="Search").click()
    found = page.tab.locator("#found > li").first
    expect(found).to_contain_text("blue tea")
    before, after = page.changes(found.get_by_role("button", name="To cart").click)
    assert before != after
    expect(page.tab.locator("#cart")).to_contain_text("blue tea")
    page.changes(page.tab.locator("#cart").get_by_role("button").click)
    assert page.items == before
    assert page.sent == []


def test_what_is_pressed_is_in_the_history_at_once_and_moves_the_list(page, shared):
    page.open("u0010")
    first, second = page.items[:2]
    title = page.tab.locator("#items h3").first.inner_text()
    before, after = page.changes(page.button("Like", first).click)
    assert first not in after
    assert before != after
    assert re.search("like", page.events()[0])
    assert title in page.events()[0]
    page.changes(page.button("Not interested", second).click)
    assert second not in page.items
    expect(page.tab.locator("#timeline circle.live")).to_have_count(2)
    past = shared.client().get("/v1/users/u0010/history").json["events"]
    assert [(e["item_id"], e["behavior"]) for e in past[:2]] == [
        (second, "not_interested"),
        (first, "like"),
    ]


def test_impressions_are_sent_once_for_each_list(page):
    with page.tab.expect_request("**/v1/feedback"):
        page.open("u0020")
    first = page.tab.evaluate("import('/page/state.js').then(m => m.state.list.list_id)")
    page.tab.get_by_label("Items listed").fill("5")
    with page.tab.expect_request("**/v1/feedback"):
        page.settled()
    page.changes(lambda: page.tab.get_by_label("Items listed").fill("10"))
    page.changes(page.button("Like", page.items[2]).click)
    with page.tab.expect_request("**/v1/feedback"):
        page.settled()
    impressions = [
        (told["list_id"], told["rank"])
        for sent in page.sent
        for told in sent["responses"]
        if told["response"] == "impression"
    ]
    assert len(set(impressions)) == len(impressions)
    assert impressions[:10] == [(first, rank) for rank in range(1, 11)]
    assert len({told for told, _ in impressions}) == 3
    like = next(t for sent in page.sent for t in sent["responses"] if t["response"] == "like")
    assert (like["list_id"], like["rank"]) == (first, 3)


def test_a_playlist_goes_on_by_itself(page):
    page.open("u0030")
    page.tab.get_by_role("button", name="Play as playlist").click()
    playing = page.tab.locator("#player strong")
    first = playing.inner_text()
    expect(playing).not_to_have_text(re.compile(f"^({re.escape(first)}|Loading …)$"))
    expect(page.tab.locator("#events > li").first).to_contain_text(first)
    assert page.events()[0].startswith("play")
    page.tab.get_by_role("button", name="Next").click()
    expect(page.tab.locator("#events .behavior").first).to_have_text("skip")
    page.tab.get_by_role("button", name="Stop").click()
    expect(page.tab.get_by_role("button", name="Play as playlist")).to_be_focused()
    events = [event for sent in page.sent for event in sent["events"]]
    assert [event["behavior"] for event in events] == ["play", "skip"]
    assert all(event["list_id"] and event["event_id"] for event in events)


def test_the_keyboard_alone_is_enough(page):
    page.open()
    press = page.tab.keyboard.press
    press("Tab")
    expect(page.tab.get_by_role("link", name="Skip to the recommendations")).to_be_focused()
    press("Tab")
    page.tab.keyboard.type("u0040")
    page.changes(lambda: press("Enter"))
    first = page.items[0]
    page.tab.get_by_role("link", name="Skip to the recommendations").focus()
    press("Enter")
    for _ in range(2):  # past the playlist's button
        press("Tab")
    like = page.button("Like", first)
    expect(like).to_be_focused()
    assert like.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    page.changes(lambda: press("Space"))
    assert "like" in page.events()[0]
    expect(page.button("Like", page.items[0])).to_be_focused()  # the liked item is gone
    expect(page.tab.get_by_role("status")).to_contain_text("items listed")


def test_everything_that_can_be_pressed_has_a_name(page):
    page.open("u0001")
    nameless = page.tab.evaluate(
        """() => [...document.querySelectorAll('button, input, select, a, section, aside')].filter(
            (node) => !(node.getAttribute('aria-label') || node.getAttribute('aria-labelledby')
                || node.textContent.trim() || node.labels?.length)).map((node) => node.outerHTML)"""
    )
    assert nameless == []
    ids = page.tab.evaluate("[...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))


def test_english_and_chinese(page):
    page.open("u0001")
    html = page.tab.locator("html")
    expect(html).to_have_attribute("lang", "en")
    page.tab.locator("#language").click()
    expect(html).to_have_attribute("lang", "zh-CN")
    expect(page.tab.get_by_role("heading", name="推荐列表")).to_be_visible()
    expect(page.button("点赞", page.items[0])).to_be_visible()
    page.tab.reload()
    page.settled()
    expect(page.tab.get_by_role("button", name="显示", exact=True)).to_be_visible()


def test_every_text_is_in_both_languages(page):
    page.open()
    keys = page.tab.evaluate(
        """async () => Promise.all(['en', 'zh'].map(async (name) => {
            const texts = (await import(`/page/texts.${name}.js`)).default;
            return [Object.keys(texts).sort(), Object.keys(texts.behaviors).sort()];
        }))"""
    )
    assert keys[0] == keys[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(browser, shared, scheme):
    page = Page(browser, shared.port, color_scheme=scheme).open()

    def ground():
        colour = page.tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return "dark" if int(re.findall(r"\d+", colour)[0]) < 128 else "light"

    assert ground() == scheme
    page.tab.get_by_role("button", name="Dark").click()
    assert ground() != scheme
    page.tab.reload()
    page.settled()
    assert ground() != scheme
    page.context.close()


def test_a_narrow_window_scrolls_one_way(browser, shared):
    page = Page(browser, shared.port, viewport={"width": 390, "height": 800}).open("u0001")
    assert page.tab.evaluate("document.documentElement.scrollWidth") <= 390
    page.context.close()


def test_the_browser_refuses_text_as_html_and_scripts_from_elsewhere(page, shared):
    page.open()
    message = page.tab.evaluate(
        "() => { try { document.body.innerHTML = '<b>'; return '' } catch (e) { return e.name } }"
    )
    assert message == "TypeError"
    page.errors.clear()
    policies = shared.client().get("/").headers.get_all("content-security-policy")
    assert all("default-src 'self'" in policy for policy in policies)
    assert "unsafe" not in "".join(policies)


def test_a_key_is_asked_for_and_kept_in_the_tab_only(browser, start, serving_root):
    command = [sys.executable, "-c", "from llmrec_assets.cli import main; main()"]
    keys = serving_root.serving_keys
    environment = {"LLMREC_DATA_DIR": str(serving_root.root)}
    done = subprocess.run(
        [*command, "key", "add", "--scope", "read", "--scope", "write"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    page = Page(browser, start("--keys", str(keys)).port)
    page.tab.goto(f"http://127.0.0.1:{page.port}/")
    dialog = page.tab.get_by_role("dialog", name="API key")
    for secret in ("wrong", done.stdout.strip()):
        expect(dialog).to_be_visible()
        page.tab.get_by_label("Key", exact=True).fill(secret)
        with page.tab.expect_response("**/openapi.json"):
            page.tab.get_by_role("button", name="Use the key").click()
    page.settled()
    expect(dialog).to_be_hidden()
    assert "llmrec.key" not in page.tab.evaluate("Object.keys(localStorage)")
    page.context.close()


def test_a_service_that_is_gone_is_told_and_its_return_is_used(browser, start):
    service = start()
    page = Page(browser, service.port).open("u0001")
    service.stop()
    page.tab.get_by_label("Items listed").fill("5")
    alert = page.tab.get_by_role("alert")
    expect(alert).to_contain_text("cannot be reached")
    start("--port", str(service.port))
    alert.get_by_role("button", name="Try again").click()
    expect(alert).to_be_hidden()
    expect(page.tab.locator("#items .item")).to_have_count(5)
    page.context.close()
