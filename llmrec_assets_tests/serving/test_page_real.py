"""The page over a service of films: the history, a like and a playlist of people who rated them."""

import pytest
from playwright.sync_api import expect

from llmrec_assets_tests.conftest import land_movielens
from llmrec_assets_tests.serving.browser import Page, a_browser
from llmrec_assets_tests.serving.process import Process
from llmrec_assets_tests.who_serves import let_serve

USERS = 60
CONFIG = {
    "temporal_model": {"max_epochs": 1},
    "model_evaluation": {"global_time_split": False},
}


@pytest.fixture
def films(real_data, root, run_job):
    """A service on a slice of MovieLens, by a model of one epoch."""
    events, items = land_movielens(real_data, root, USERS)
    run_job(config=CONFIG)
    let_serve(root)
    run_job("refresh_lists")
    process = Process(root)
    process.wait_until_ready()
    yield process, events, items
    process.kill()


def test_somebody_who_rated_films_likes_another(films):
    process, events, items = films
    titles = dict(zip(items["item_id"], items["title"], strict=True))
    mine = events[events["user_id"] == "7"]
    with a_browser() as browser:
        page = Page(browser, process.port).open("7")
        expect(page.tab.locator("#timeline circle")).to_have_count(min(200, len(mine)))
        assert len(page.items) == 10
        assert not set(page.items) & set(mine["item_id"])
        first = page.items[0]
        before, after = page.changes(page.button("Like", first).click)
        assert first not in after
        assert before != after
        assert titles[first] in page.events()[0]
        page.tab.get_by_role("button", name="Play as playlist").click()
        playing = page.tab.locator("#player strong")
        expect(playing).to_have_text(titles[after[0]])
        expect(page.tab.locator("#events > li").first).to_contain_text(titles[after[0]])
        expect(playing).not_to_have_text(titles[after[0]])
        assert page.errors == []
        assert page.hosts == {f"127.0.0.1:{process.port}"}
