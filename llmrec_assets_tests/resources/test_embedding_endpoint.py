"""The endpoint against a real model server, and against a real server that misbehaves."""

import json
import re
import socket
import subprocess
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from llmrec_assets_tests.local_model import local_model

pytest.importorskip("openai")

from llmrec_assets.core.encoding import Encoder, EncoderUnavailable
from llmrec_assets.resources.embedding_endpoint import (
    EmbeddingEndpoint,
    EndpointAnswerError,
    EndpointError,
    TokenBudgetSpent,
    Usage,
)

SECRET = "sk-do-not-show-me"
TEXTS = ["wireless earphones", "蓝牙耳机", "baby diapers", "a cast iron pan", "running shoes"]


# A real model behind a real server.


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


# A server that misbehaves as it is told.


def vector_of(text):
    """The same for the same text, and in a direction of its own."""
    return [float(len(text)), float(ord(text[0])), 1.0]


def good(texts, tokens=7):
    data = [
        {"object": "embedding", "index": index, "embedding": vector_of(text)}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": "m", "data": data, "usage": usage}


def expected(texts):
    vectors = np.array([vector_of(text) for text in texts])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Script:
    """What the server does: `steps` for the first requests, then the good answer.

    A step takes the texts and gives (status, body) or (status, body, headers).
    """

    def __init__(self):
        self.steps, self.requests, self.keys, self.lock = [], [], [], threading.Lock()

    def answer(self, body, key):
        with self.lock:
            self.requests.append(body)
            self.keys.append(key)
            step = self.steps.pop(0) if self.steps else None
        status, answer, *headers = step(body["input"]) if step else (200, good(body["input"]))
        raw = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return status, raw, headers[0] if headers else {}

    @property
    def sent(self):
        return [text for body in self.requests for text in body["input"]]


@pytest.fixture(scope="module")
def script_server():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        script = Script()

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, raw, headers = self.script.answer(body, self.headers["Authorization"])
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            """Nothing: a client that waited long enough is gone."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Handler, f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


@pytest.fixture
def script(script_server):
    script_server[0].script = Script()
    return script_server[0].script


@pytest.fixture
def endpoint(script_server, script):
    def make(**options):
        settings = {"model": "m", "base_url": script_server[1], "key": SECRET}
        return EmbeddingEndpoint(
            **{**settings, "batch_size": 2, "concurrency": 1, "max_retries": 0, **options}
        )

    return make


def fails(endpoint, error=EndpointError, texts=TEXTS):
    """The message of the failure; neither it nor what it came from shows the key or a text."""
    with pytest.raises(error) as info:
        endpoint.encode(texts)
    assert type(info.value) is error
    shown = "".join(traceback.format_exception(info.value)) + repr(info.value) + repr(endpoint)
    cause = info.value.__cause__
    while cause is not None:
        shown, cause = shown + repr(cause), cause.__cause__
    assert SECRET not in shown
    assert not [text for text in texts if text.strip() and text in shown]
    assert f"{endpoint.base_url} (model 'm')" in str(info.value)
    return str(info.value)


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


def changed(**first):
    """The good answer with other entries in its first row."""

    def step(texts):
        answer = good(texts)
        answer["data"][0].update(first)
        return 200, answer

    return step


def half(texts):
    return 200, {**good(texts), "data": good(texts)["data"][:1]}


def echo(texts):
    return 200, json.dumps([SECRET, *texts]).encode()[:-1]


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (echo, "is not JSON: check that LLMREC_ENCODER_URL"),
        (lambda _: (200, b"[" * 100_000), "is not JSON"),
        (lambda _: (200, b"\xff\xfe"), "is not JSON"),
        (lambda texts: (200, [SECRET, *texts]), "is JSON but no object: .*LLMREC_ENCODER_URL"),
        (lambda texts: (200, {"error": texts}), "has no list of vectors under `data`"),
        (lambda texts: (200, {"data": texts}), "has no list of vectors under `data`"),
        (half, "has 1 vectors for 2 texts: lower batch_size"),
        (changed(index=1), "has indices other than 0 to 1, each once"),
        (changed(index=2), "has indices other than 0 to 1, each once"),
        (changed(index=None), "has indices other than 0 to 1, each once"),
        (changed(embedding=[1.0, 2.0]), "has vectors of different lengths"),
        (changed(embedding=[1.0, float("nan"), 2.0]), "has NaN or infinity in 1 of 2 vectors"),
        (changed(embedding=[1.0, float("-inf"), 2.0]), "has NaN or infinity in 1 of 2 vectors"),
        (changed(embedding=[0.0, 0, 0]), "has only zeros in 1 of 2 vectors"),
        (changed(embedding=[1.0, None, 2.0]), "has a vector that is not a list of numbers"),
        (changed(embedding=["1", SECRET, "2"]), "has a vector that is not a list of numbers"),
        (changed(embedding=[[1.0, 2.0, 3.0]]), "has a vector that is not a list of numbers"),
        (changed(embedding=[[1.0], [2.0, 3.0]]), "has a vector that is not a list of numbers"),
        (changed(embedding=[1.0, 10**400, 2.0]), "has a vector that is not a list of numbers"),
        (changed(embedding="AACAPwAAAEA="), "has a vector that is not a list of numbers"),
        (changed(embedding=[]), "has a vector that is not a list of numbers"),
    ],
)
def test_a_wrong_answer_is_refused(endpoint, script, step, what):
    script.steps = [lambda texts: (200, good(texts)), step]
    message = fails(endpoint(), EndpointAnswerError)
    assert "batch 2 (texts 2 to 3): the answer " in message
    assert re.search(what, message), message


def test_a_dimension_that_changes_between_batches_is_refused(endpoint, script):
    def longer(texts):
        answer = good(texts)
        for entry in answer["data"]:
            entry["embedding"].append(1.0)
        return 200, answer

    script.steps = [lambda texts: (200, good(texts)), longer]
    encoder = endpoint()
    message = fails(encoder, EndpointAnswerError)
    assert "batch 2 (texts 2 to 3): the answer has vectors of 4 numbers instead of 3" in message
    script.steps = [longer]
    assert "4 numbers instead of 3" in fails(encoder, EndpointAnswerError), "in a later call too"


def test_a_dimension_other_than_asked_is_refused(endpoint):
    message = fails(endpoint(dimensions=2), EndpointAnswerError)
    assert "3 numbers instead of 2: leave dimensions=2 unset" in message


def test_numbers_whose_squares_do_not_exist_still_have_a_direction(endpoint, script):
    script.steps = [changed(embedding=[3e200, 4e200, 0]), changed(embedding=[0, 3e-200, 4e-200])]
    vectors = endpoint(batch_size=1).encode(["a", "b"])
    np.testing.assert_allclose(vectors, [[0.6, 0.8, 0], [0, 0.6, 0.8]], atol=1e-6)


def repeats_what_it_got(status):
    """A server that puts the key and the texts into its error."""
    return lambda texts: (status, {"error": {"message": f"{SECRET} {texts}", "code": SECRET}})


@pytest.mark.parametrize(
    ("status", "what"),
    [
        (400, "HTTP 400: check the model's name, and lower batch_size"),
        (401, "HTTP 401: LLMREC_ENCODER_KEY is wrong or not set"),
        (403, "HTTP 403: LLMREC_ENCODER_KEY is wrong or may not use"),
        (404, "HTTP 404: the model's name is wrong, or LLMREC_ENCODER_URL is"),
        (429, "HTTP 429: lower concurrency, or raise the quota of LLMREC_ENCODER_KEY"),
        (503, "HTTP 503: the server failed: try again later"),
    ],
)
def test_a_refusal_names_the_setting(endpoint, script, status, what):
    script.steps = [repeats_what_it_got(status)]
    message = fails(endpoint())
    assert what in message
    assert "batch 1 (texts 0 to 1)" in message
    assert len(script.requests) == 1


def test_a_server_that_is_too_slow_is_given_up(endpoint, script):
    def slow(texts):
        time.sleep(0.6)
        return 200, good(texts)

    script.steps = [slow]
    assert "1 times no answer within 0.2 s: raise timeout_s" in fails(endpoint(timeout_s=0.2))


def test_a_refused_connection_names_the_address(endpoint):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nothing else can answer there
        base_url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        message = fails(endpoint(base_url=base_url))
    assert "LLMREC_ENCODER_URL is wrong or nothing runs there" in message


@pytest.mark.parametrize("base_url", ["", "localhost:80/v1", "http://", "http://host:port/v1"])
def test_an_address_that_is_none_is_refused_at_once(endpoint, base_url):
    with pytest.raises(EndpointError, match="LLMREC_ENCODER_URL must be like https://host/v1"):
        endpoint(base_url=base_url)


def test_what_is_secret_in_an_address_is_not_shown(endpoint, script_server):
    secret = script_server[1].replace("http://", f"http://user:{SECRET}@") + f"?key={SECRET}"
    with pytest.raises(EndpointError) as info:
        endpoint(base_url=secret, timeout_s=0.2, dimensions=2).encode(TEXTS)
    assert SECRET not in "".join(traceback.format_exception(info.value))
    assert f"{script_server[1]} (model 'm')" in str(info.value)


@pytest.mark.parametrize("key", [f"{SECRET}\nX-Other: 1", f"{SECRET} a", f"{SECRET}é"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(endpoint, key):
    with pytest.raises(EndpointError, match="LLMREC_ENCODER_KEY holds") as info:
        endpoint(key=key)
    assert SECRET not in "".join(traceback.format_exception(info.value))


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
