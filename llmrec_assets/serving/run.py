"""One event loop that answers, a thread that writes, and a process beside it that ranks."""

import signal
import socket
import sys

import torch
import uvicorn

from llmrec_assets.serving import logs
from llmrec_assets.serving.app import make_app
from llmrec_assets.serving.options import ServeOptions

# Threads that explain and load hold the interpreter between the parts of their work; requests that
# come in meanwhile wait for less than this, not for the default of 5 ms.
_SWITCH_SECONDS = 0.0005
_GRACE_SECONDS = 10


def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT, then finish what was begun.

    Raises:
        BadKeysFile: keys are needed and there are none.
        OSError: the address cannot be had.
    """
    torch.set_num_threads(1)
    sys.setswitchinterval(_SWITCH_SECONDS)
    logs.configure()
    app = make_app(options)
    config = uvicorn.Config(
        app,  # pyright: ignore[reportArgumentType]
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,  # paths hold ids
        server_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    bound = _bind(options)
    host, port = bound.getsockname()[:2]
    logs.say("listens", host=host, port=port)
    # uvicorn stops gracefully and then raises the signal again: a stop that was asked for is none
    # to die of.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[bound])


def _bind(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((options.host, options.port))
    bound.listen(2048)
    return bound
