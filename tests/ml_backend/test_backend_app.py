"""Who may ask a backend."""

import base64
from types import SimpleNamespace

import pytest

testclient = pytest.importorskip("starlette.testclient", reason="starlette is not installed")
HOSTS = frozenset({"127.0.0.1:9090", "localhost:9090"})


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def app_of(predict=lambda asked: {}, say=lambda line: 0):
    from duetal.ml_backend.backend_app import make_backend_app

    health = {"model_version": "run-1"}
    about = {"health": lambda: health, "setup": None, "webhook": None}
    return make_backend_app(SimpleNamespace(**about, predict=predict, say=say))


def ask(hosts, user, **headers):
    from duetal.ml_backend.backend_app import BackendGuard

    app = BackendGuard(app_of(), hosts=hosts, user=user)
    client = testclient.TestClient(app, base_url="http://127.0.0.1:9090")
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    return client.get("/health", headers=sent), client.post("/predict", json={}, headers=sent)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:9090"}, 200),
        # DNS rebinding: a name of somebody else's that leads here.
        ({"host": "attacker.example:9090"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": "127.0.0.1.attacker.example:9090"}, 421),
        # Any page of any browser (CSRF), the machine's own as well.
        ({"origin": "http://attacker.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:9090"}, 403),
    ],
)
def test_browsers_pages_are_refused(headers, status):
    for answer in ask(HOSTS, None, **headers):
        assert answer.status_code == status
        assert ("run-1" in answer.text) <= (status == 200)


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (basic("studio", "a:b c"), 200),
        (basic("studio", "a:b c").replace("Basic", "basic"), 200),
        (None, 401),
        ("", 401),
        ("Basic", 401),
        (basic("studio", "a:b"), 401),
        (basic("", ""), 401),
        (basic("studio", "a:b c").replace("Basic", "Bearer"), 401),
        ("Basic \xff", 401),
    ],
)
def test_a_password_that_is_wanted(authorization, status):
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}
    for answer in ask(None, ("studio", "a:b c"), **headers):
        assert answer.status_code == status
        assert answer.headers.get("www-authenticate") == ("Basic" if status == 401 else None)
        assert ("run-1" in answer.text) <= (status == 200)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("application/json", 200)],
)
def test_what_a_form_can_send_is_refused(kind, status):
    client = testclient.TestClient(app_of())
    answer = client.post("/predict", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == status


def test_too_large_a_request(monkeypatch):
    from duetal.ml_backend import backend_app

    monkeypatch.setattr(backend_app, "MOST", 10)
    client = testclient.TestClient(app_of())
    answer = client.post("/predict", json={"tasks": [0] * 10})
    assert (answer.status_code, answer.json()) == (413, {"error": "too large: more than 0 MiB"})


def test_what_fails_within_is_one_line():
    lines = []

    def predict(asked):
        raise ZeroDivisionError("by\nnothing")

    client = testclient.TestClient(app_of(predict, lines.append), raise_server_exceptions=False)
    answer = client.post("/predict", json={})
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error: ZeroDivisionError: by nothing"}
    assert lines == ["/predict: internal error: ZeroDivisionError: by nothing"]
