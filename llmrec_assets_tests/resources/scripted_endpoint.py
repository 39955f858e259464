"""A real server of embeddings that misbehaves as it is told, and a client of it."""

import json
import threading
import traceback

import numpy as np
import pytest

from llmrec_assets.resources.embedding_endpoint import EndpointError

SECRET = "sk-do-not-show-me"
TEXTS = ["wireless earphones", "蓝牙耳机", "baby diapers", "a cast iron pan", "running shoes"]


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


def repeats_what_it_got(status):
    """A server that puts the key and the texts into its error."""
    return lambda texts: (status, {"error": {"message": f"{SECRET} {texts}", "code": SECRET}})


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
