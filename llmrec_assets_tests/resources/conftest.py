import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from llmrec_assets.resources.embedding_endpoint import EmbeddingEndpoint
from llmrec_assets_tests.resources.scripted_endpoint import SECRET, Script


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
