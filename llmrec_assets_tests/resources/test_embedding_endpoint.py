"""The endpoint against a real model server, and against one that keeps the protocol."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("openai")

from llmrec_assets.core.encoding import Encoder, EncoderUnavailable
from llmrec_assets.resources.embedding_endpoint import (
    EmbeddingEndpoint,
    EndpointAnswerError,
    EndpointError,
    TokenBudgetSpent,
    Usage,
)
from llmrec_assets_tests.local_model import local_model
from llmrec_assets_tests.resources.scripted_endpoint import (
    SECRET,
    TEXTS,
    expected,
    fails,
    good,
    half,
    repeats_what_it_got,
)


@pytest.fixture(scope="module")
def model_server():
    with local_model(512, embedding=True) as url:
        yield url


def test_a_real_model_gives_each_text_its_own_vector_however_batched(model_server):
    def encode(texts, batch_size):
        endpoint: Encoder = EmbeddingEndpoint(
            model="m", base_url=model_server, key="", batch_size=batch_size, timeout_s=120
        )
        return endpoint.encode(texts)

    texts = [*TEXTS, TEXTS[0]]
    together, alone = encode(texts, batch_size=2), np.vstack([encode([t], 1) for t in texts])
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together, alone, atol=1e-4)
    np.testing.assert_allclose(together[0], together[5], atol=1e-4)
    distances = np.linalg.norm(together[:5, None] - together[None, :5], axis=2)
    assert distances[~np.eye(5, dtype=bool)].min() > 0.05, "other texts have other vectors"


def test_a_real_model_tells_its_tokens(model_server):
    endpoint = EmbeddingEndpoint(
        model="m", base_url=model_server, key="", timeout_s=120, price_per_million=2.0
    )
    endpoint.encode(TEXTS)
    assert (endpoint.usage.requests, endpoint.usage.estimated) == (1, False)
    assert len(TEXTS) < endpoint.usage.tokens < sum(map(len, TEXTS))
    assert endpoint.usage.cost == pytest.approx(endpoint.usage.tokens * 2e-6)


def test_what_is_sent_is_the_protocol(endpoint, script):
    endpoint(key="", batch_size=5).encode(TEXTS)
    endpoint(dimensions=3).encode(["a"])
    assert script.requests[0] == {"model": "m", "input": TEXTS, "encoding_format": "float"}
    assert script.requests[1]["dimensions"] == 3
    assert script.keys == ["Bearer none", f"Bearer {SECRET}"]


def test_making_an_endpoint_sends_nothing(endpoint, script):
    endpoint()
    assert endpoint().encode([]).shape == (0, 0)
    assert script.requests == []


def test_rows_keep_the_order_of_the_texts_over_concurrent_batches(endpoint, script):
    gate = threading.Barrier(4, timeout=5)  # passes only when four requests are there at once

    def slowest_first(texts):
        gate.wait()
        time.sleep(0.2 if texts[0] == "0" else 0)
        return 200, good(texts)

    script.steps = [slowest_first] * 4
    texts = [f"{number}" + "x" * number for number in range(8)]
    places = [place for place, _ in endpoint(concurrency=4).encode_batches(texts)]
    assert places[-1] == slice(0, 2)
    assert sorted(place.start for place in places) == [0, 2, 4, 6]
    script.steps = [slowest_first] * 4
    vectors = endpoint(concurrency=4).encode(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected(texts), atol=1e-6)


def test_no_more_requests_run_at_once_than_allowed(endpoint, script):
    running, most = set(), []

    def watched(texts):
        running.add(texts[0])
        most.append(len(running))
        time.sleep(0.05)
        running.discard(texts[0])
        return 200, good(texts)

    texts = [f"{number}" for number in range(6)]
    script.steps = [watched] * 6
    endpoint(batch_size=1, concurrency=2).encode(texts)
    assert max(most) <= 2


def test_a_busy_server_is_asked_again_when_it_says(endpoint, script):
    script.steps = [lambda _: (429, {"error": {}}, {"Retry-After": "1"})]
    started = time.monotonic()
    vectors = endpoint(max_retries=1).encode(TEXTS)
    assert time.monotonic() - started >= 1  # without the header it is 0.5 s at most
    assert len(script.requests) == 4
    np.testing.assert_allclose(vectors, expected(TEXTS), atol=1e-6)


def test_a_server_that_recovers_is_asked_again(endpoint, script):
    script.steps = [lambda _: (500, b"oops", {"Retry-After-Ms": "10"})] * 2
    encoder = endpoint(max_retries=2)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected(TEXTS), atol=1e-6)
    assert encoder.usage.requests == 3


def test_shuffled_rows_are_put_in_order(endpoint, script):
    def shuffled(texts):
        answer = good(texts)
        answer["data"] = [answer["data"][place] for place in (3, 0, 4, 1, 2)]
        return 200, answer

    script.steps = [shuffled]
    np.testing.assert_allclose(endpoint(batch_size=5).encode(TEXTS), expected(TEXTS), atol=1e-6)


def test_finished_batches_are_kept_when_another_fails(endpoint, script):
    failed = threading.Event()

    def fail(texts):
        failed.set()
        return repeats_what_it_got(400)(texts)

    def after_the_failure(texts):
        failed.wait(5)
        time.sleep(0.2)
        return 200, good(texts)

    def by_text(texts):
        return (fail if "1" in texts else after_the_failure)(texts)

    script.steps = [by_text] * 3
    texts = [f"{number}" for number in range(6)]
    encoder = endpoint(batch_size=1, concurrency=3)
    kept = {}
    with pytest.raises(EndpointError, match=r"batch 2 \(texts 1 to 1\)"):
        for place, rows in encoder.encode_batches(texts):
            kept[place.start] = rows
    assert sorted(kept) == [0, 2], "those in flight are kept, and none is begun after the failure"
    np.testing.assert_allclose(np.vstack([kept[0], kept[2]]), expected(["0", "2"]), atol=1e-6)
    assert sorted(script.sent) == ["0", "1", "2"]
    assert (encoder.usage.requests, encoder.usage.tokens) == (2, 14)


def test_the_budget_is_kept_and_what_it_bought_too(endpoint, script):
    texts = ["x" * 40, "y" * 40, "z" * 40]
    encoder = endpoint(batch_size=1, concurrency=3, token_budget=18, price_per_million=1e6)
    kept = []
    with pytest.raises(TokenBudgetSpent) as info:
        for place, _ in encoder.encode_batches(texts):
            kept.append(place.start)
    assert kept == [0, 1]
    for word in ("14 tokens are spent", "about 10,", "of 18", "LLMREC_ENCODER_TOKEN_BUDGET"):
        assert word in str(info.value)
    assert script.sent == texts[:2]
    assert encoder.usage == Usage(requests=2, tokens=14, cost=14.0)
    with pytest.raises(TokenBudgetSpent):
        encoder.encode(texts)
    assert len(script.requests) == 2, "the budget is of the object and not of one call"


def test_tokens_that_no_answer_tells_are_estimated(endpoint, script):
    silent = [{}, {"usage": None}, {"usage": {"total_tokens": 0}}, {"usage": "7"}]
    for said in silent:
        script.steps = [lambda t, said=said: (200, {"data": good(t)["data"], **said})]
        encoder = endpoint()
        encoder.encode(["x" * 41, "y"])
        assert encoder.usage == Usage(requests=1, tokens=11, cost=0, estimated=True)
    script.steps = [lambda t: (200, {**good(t), "usage": {"prompt_tokens": 9}})]
    encoder = endpoint()
    encoder.encode(["x", "y"])
    assert encoder.usage == Usage(requests=1, tokens=9, cost=0)


def test_an_answer_of_no_use_is_counted_all_the_same(endpoint, script):
    script.steps = [half]
    encoder = endpoint()
    fails(encoder, EndpointAnswerError)
    assert (encoder.usage.requests, encoder.usage.tokens) == (1, 7)


def test_blank_texts_are_not_sent_and_get_zero_rows(endpoint, script):
    texts = ["", "a", " \n", "　", "b", "\t"]
    vectors = endpoint().encode(texts)
    assert script.sent == ["a", "b"]
    assert len(script.requests) == 2
    np.testing.assert_allclose(vectors[[1, 4]], expected(["a", "b"]), atol=1e-6)
    assert not vectors[[0, 2, 3, 5]].any()


def test_blank_texts_alone_ask_for_the_dimension_once(endpoint, script):
    encoder = endpoint()
    np.testing.assert_array_equal(encoder.encode(["", " ", ""]), np.zeros((3, 3), np.float32))
    assert encoder.encode([""]).shape == (1, 3)
    assert encoder.dimension() == 3
    assert script.sent == ["dimension"]
    assert endpoint(dimensions=5).encode([""]).shape == (1, 5)
    assert script.sent == ["dimension"]


def test_texts_are_cut_and_lone_surrogates_replaced(endpoint, script):
    endpoint(max_chars=4, batch_size=3).encode(["  手机手机手机", "abcdef", "a\ud800b"])
    assert script.sent == ["手机手机", "abcd", "a?b"]


def test_a_missing_client_says_what_to_install(endpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(EncoderUnavailable, match=r"llmrec-assets\[endpoint\]"):
        endpoint().encode(TEXTS)


def test_the_client_is_loaded_with_the_first_request_only():
    code = (
        "import sys; from llmrec_assets.resources.embedding_endpoint import EmbeddingEndpoint as E;"
        "E(model='m', base_url='http://host/v1', key=''); print('openai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
