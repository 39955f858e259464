"""A service as its own process, and a client that keeps its connection."""

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import quote, urlencode


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One connection; made anew where the service closed it."""

    def __init__(self, port, host="127.0.0.1"):
        self.connection = http.client.HTTPConnection(host, port, timeout=30)

    def request(self, method, path, body=None, headers=None):
        if body is not None and not isinstance(body, bytes):
            body, headers = (
                json.dumps(body),
                {"content-type": "application/json", **(headers or {})},
            )
        for last in (False, True):
            try:
                self.connection.request(method, path, body, headers or {})
                response = self.connection.getresponse()
                break
            except (http.client.RemoteDisconnected, ConnectionError):  # idle for too long
                self.connection.close()
                if last:
                    raise
        return Answer(response, response.read())

    def get(self, path, headers=None, **query):
        asked = f"?{urlencode(query, doseq=True)}" if query else ""
        return self.request("GET", path + asked, headers=headers)

    def post(self, path, body, headers=None):
        return self.request("POST", path, body, headers)

    def recommend(self, user, **query):
        return self.get(f"/v1/users/{quote(user, safe='')}/recommendations", **query)

    def feedback(self, events=(), responses=()):
        return self.post("/v1/feedback", {"events": list(events), "responses": list(responses)})

    def close(self):
        self.connection.close()


class Process:
    """`llmrec serve` on a root, at a free port; what it logs is kept."""

    def __init__(self, layout, *arguments, **environment):
        # The whole suite shares the processor: a budget that is never missed, unless a test says.
        settings = {"LLMREC_SERVE_BUDGET_MS": "20000", "LLMREC_SERVE_POLL_SECONDS": "0.1"}
        self.layout = layout
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from llmrec_assets.cli import main; main()", "serve",
             "--port", "0", *arguments],
            env={**os.environ, **settings, "LLMREC_DATA_DIR": str(layout.root), **environment},
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.lines, self._new = [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        try:
            self.port = self.wait_for_log("listens")["port"]
        except BaseException:
            self.kill()
            raise

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            self._new.put(line)
        self._new.put(None)

    def wait_for_log(self, event, timeout=240):
        """The next log line of an event; fails where the process ends or refuses a package."""
        deadline = time.monotonic() + timeout
        while True:
            line = self._new.get(timeout=max(0.01, deadline - time.monotonic()))
            assert line is not None, "".join(self.lines)
            told = json.loads(line) if line.startswith("{") else {"event": ""}
            if told["event"] == event:
                return told
            assert told["event"] != "package refused", told

    def client(self):
        return Client(self.port)

    def wait_until_ready(self):
        return self.wait_for_log("package took over")

    def metric(self, name):
        text = self.client().get("/metrics").body.decode()
        found = [line.split() for line in text.splitlines() if line.startswith(name)]
        return {line[0]: float(line[1]) for line in found}

    def stop(self):
        """Ask it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def kill(self):
        self.process.kill()
        self.process.wait()
