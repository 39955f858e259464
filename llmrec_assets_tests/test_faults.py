"""A few planted faults; `python -m llmrec_assets_tests.faults` plants them all."""

import pytest

from llmrec_assets.layout import Layout
from llmrec_assets_tests.faults.__main__ import RECOVERY, play
from llmrec_assets_tests.faults.invariants import settled
from llmrec_assets_tests.faults.service import Service
from llmrec_assets_tests.faults.traffic import Traffic


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service that has made its first lists."""
    layout = Layout(tmp_path_factory.mktemp("faults") / "data")
    with Service(layout) as service:
        traffic = Traffic(layout)
        traffic.drop_events()
        service.wait("the first lists", lambda: settled(service, traffic), RECOVERY)
        yield service, traffic


@pytest.mark.parametrize(
    ("fault", "asset"),
    [("kill_run", "temporal_model"), ("kill_everything", "feedback"), ("truncated", "feedback")],
)
def test_the_service_recovers_by_itself(service, fault, asset):
    assert play(*service, fault, asset)["broken"] == []
