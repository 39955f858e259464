"""What the endpoint refuses, and that no message shows a key or a text."""

import re
import socket
import time
import traceback

import numpy as np
import pytest

pytest.importorskip("openai")

from llmrec_assets.resources.embedding_endpoint import EndpointAnswerError, EndpointError
from llmrec_assets_tests.resources.scripted_endpoint import (
    SECRET,
    TEXTS,
    changed,
    echo,
    fails,
    good,
    half,
    repeats_what_it_got,
)


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
