"""Who may ask, how much, and that no request breaks anything."""

import json
import os
import stat
import subprocess
import sys
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from llmrec_assets.serving import keys
from llmrec_assets_tests.serving.test_feedback import event


def key_of(layout, *scopes):
    done = subprocess.run(
        [sys.executable, "-c", "from llmrec_assets.cli import main; main()", "key", "add",
         *(part for scope in scopes for part in ("--scope", scope))],
        env={**os.environ, "LLMREC_DATA_DIR": str(layout.root)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def test_keys_open_what_their_scopes_say(start, serving_root):
    reader, writer = key_of(serving_root, "read"), key_of(serving_root, "write")
    process = start("--keys", str(serving_root.serving_keys))
    client = process.client()
    for wrong in ({}, bearer("llmrec_wrong"), {"authorization": reader}, bearer("é")):
        answer = client.get("/v1/model", headers=wrong)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/v1/model", headers=bearer(reader)).status == 200
    assert client.get("/v1/model", headers=bearer(writer)).status == 403
    batch = {"events": [event(1)]}
    assert client.post("/v1/feedback", batch, bearer(reader)).status == 403
    assert client.post("/v1/feedback", batch, bearer(writer)).status == 200
    assert client.get("/health/ready").status == 200
    assert client.get("/metrics").status == 401
    said = "".join(process.lines)
    assert reader not in said
    assert "u0005" not in said


def test_only_hashes_are_kept_and_only_for_the_owner(serving_root):
    secret = key_of(serving_root, "read", "write")
    text = serving_root.serving_keys.read_text()
    assert secret not in text
    assert json.loads(text)["keys"][0]["scopes"] == ["read", "write"]
    assert stat.S_IMODE(serving_root.serving_keys.stat().st_mode) == 0o600
    serving_root.serving_keys.chmod(0o644)
    with pytest.raises(keys.BadKeysFile, match="chmod 600"):
        keys.Keys.read(serving_root.serving_keys)


def test_others_are_not_served_without_keys(serving_root):
    done = subprocess.run(
        [sys.executable, "-c", "from llmrec_assets.cli import main; main()", "serve",
         "--host", "0.0.0.0", "--port", "0"],
        env={**os.environ, "LLMREC_DATA_DIR": str(serving_root.root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "llmrec key add" in done.stderr


def test_too_many_requests_are_told_when_to_come_again(start):
    client = start(LLMREC_SERVE_RATE="3").client()
    answers = [client.get("/v1/model") for _ in range(12)]
    late = [answer for answer in answers if answer.status == 429]
    assert late
    assert answers[0].status == 200
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in late)
    assert client.get("/health/live").status == 200


def test_a_body_that_is_too_large_is_refused_however_it_is_sent(shared):
    client = shared.client()
    big = b'{"events": [' + b" " * (3 << 20) + b"]}"
    kind = {"content-type": "application/json"}
    assert client.request("POST", "/v1/feedback", big, kind).status == 413
    chunks = (big[start : start + 65_536] for start in range(0, len(big), 65_536))
    client = shared.client()
    client.connection.request("POST", "/v1/feedback", chunks, kind, encode_chunked=True)
    assert client.connection.getresponse().status == 413


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("k=0", "k"), ("k=201", "k"), ("k=many", "k"), ("unasked=1", "unasked"),
        ("min_price=nan", "min_price"), ("min_price=5&max_price=4", "min_price"),
        ("exclude_seen=perhaps", "exclude_seen"), ("never=" + "x" * 257, "never"),
        ("&".join(f"never={n}" for n in range(101)), "never"),
    ],
)  # fmt: skip
def test_a_bad_query_is_refused_with_its_field(shared, query, field):
    answer = shared.client().get(f"/v1/users/u0001/recommendations?{query}")
    assert answer.status == 422
    assert field in answer.json["detail"]


@pytest.mark.parametrize(
    "user",
    ["用户", "a'b\"c", "../../etc/passwd", "a/b", "a\nb", "\x00", "'; drop table users; --",
     "x" * 256, "x" * 257, "x" * 50_000, "{{7*7}}", "%2e%2e", "👩‍👩‍👧", "a/recommendations"],
)  # fmt: skip
def test_strange_ids_are_unknown_users_or_refused(shared, user):
    for ending in ("recommendations", "history"):
        answer = shared.client().get(f"/v1/users/{quote(user, safe='')}/{ending}")
        assert answer.status in {200, 404, 414, 422, 400}
        if len(user) <= 256 and user.isprintable():
            assert answer.status == 200


def test_an_id_of_a_hundred_thousand_characters_only_fails(shared):
    client = shared.client()
    assert client.post("/v1/recommendations", {"user_id": "x" * 100_000}).status == 422
    answer = client.get("/v1/users/" + "x" * 100_000 + "/history")
    assert 400 <= answer.status < 500
    assert shared.client().get("/health/live").status == 200


def test_answers_are_guarded_and_other_origins_are_not_let_in(shared):
    client = shared.client()
    headers = client.get("/v1/model", headers={"origin": "https://elsewhere.example"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["access-control-allow-origin"] is None
    assert headers["server"] is None
    rebound = client.get("/v1/model", headers={"host": "elsewhere.example"})
    assert rebound.status == 421
    plain = {"content-type": "text/plain"}
    assert client.request("POST", "/v1/feedback", b'{"events": []}', plain).status == 422


def test_metrics_count_by_route_and_name_nobody(shared):
    client = shared.client()
    client.recommend("a-name-that-nobody-may-see")
    text = client.get("/metrics").body.decode()
    assert 'route="/v1/users/{user_id}/recommendations",status="200"' in text
    assert "a-name-that-nobody-may-see" not in text + "".join(shared.lines)


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


def test_the_service_keeps_to_its_schema_whatever_is_sent(shared):
    address = f"http://127.0.0.1:{shared.port}"
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            takes_something = operation.path.startswith("/v1/") and operation.path != "/v1/model"
            if mode is GenerationMode.NEGATIVE and not takes_something:
                continue

            @settings(max_examples=12, deadline=None, database=None, derandomize=True,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            def send(case):
                nonlocal tried
                tried += 1
                case.call_and_validate(checks=CHECKS)

            given(case=operation.as_strategy(generation_mode=mode))(send)()
    assert tried > 100
    assert shared.client().get("/health/ready").status == 200
