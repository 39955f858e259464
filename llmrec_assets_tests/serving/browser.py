"""A headless Chromium, and the page as a person meets it: by what is written on it."""

import os
import shutil
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import expect, sync_playwright

expect.set_options(timeout=20_000)


def chromium():
    """The path of the browser; skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("LLMREC_TEST_CHROMIUM") or next(
        filter(None, map(shutil.which, names)), None
    )
    return found or pytest.skip("no chromium: install it, or name it in LLMREC_TEST_CHROMIUM")


@contextmanager
def a_browser():
    path = chromium()
    with sync_playwright() as playwright:
        # The sandbox needs namespaces that containers lack; the page is this project's own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Page:
    """The page of one service in a tab of its own, with what it logged and whom it asked."""

    def __init__(self, browser, port, **settings):
        settings = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **settings}
        self.context = browser.new_context(**settings)
        self.tab, self.port = self.context.new_page(), port
        self.errors, self.hosts, self.sent = [], set(), []
        self.tab.on("console", self._log)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("request", self._asked)

    def _log(self, message):
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def _asked(self, request):
        self.hosts.add(urlsplit(request.url).netloc)
        if request.url.endswith("/v1/feedback"):
            self.sent.append(request.post_data_json)

    def open(self, user=""):
        self.tab.goto(f"http://127.0.0.1:{self.port}/" + (f"#user={quote(user)}" if user else ""))
        self.settled()
        return self

    def settled(self):
        """Wait until the newest list is shown."""
        expect(self.tab.locator("#items[aria-busy=false] > li").first).to_be_visible()
        return self

    @property
    def items(self):
        """Ids of the list, best first."""
        rows = self.tab.locator("#items .item")
        return rows.evaluate_all("rows => rows.map(row => row.dataset.item)")

    def changes(self, act):
        """Do something that asks for another list; the ids before and after."""
        before = self.items
        with self.tab.expect_response("**/v1/recommendations"):
            act()
        return before, self.settled().items

    def events(self):
        return self.tab.locator("#events > li").all_inner_texts()

    def button(self, name, item):
        return self.tab.locator(f'#items [data-item="{item}"]').get_by_role("button", name=name)
