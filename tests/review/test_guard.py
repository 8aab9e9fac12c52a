import http.client

import pytest


@pytest.fixture
def served(standing):
    """No test of the module may change it."""
    return standing


def test_the_address_with_the_token_opens_the_page_and_keeps_it_as_a_cookie(served):
    answer = served.ask(f"/?token={served.token}", cookie=None)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    page = served.ask("/", cookie=cookie.partition(";")[0])
    assert page.status == 200
    assert b"<script>" in page.data
    for name, value in {
        "cache-control": "no-store",
        "content-security-policy": "frame-ancestors 'none'",
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }.items():
        assert page.headers[name] == value


PATHS = ("/", "/state", "/videos/0/media", "/videos/0/stills", "/videos/0/scores", "/export/csv")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"cookie": None}, 403),
        ({"cookie": "duetal-review-{port}=wrong"}, 403),
        ({"cookie": "duetal-review-{port}="}, 403),
        ({"cookie": "other={token}"}, 403),
        ({"cookie": "=;;\x7f,\\"}, 403),
        # DNS rebinding: a name of somebody else's that leads here.
        ({"host": "attacker.example:{port}"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": "127.0.0.1.attacker.example:{port}"}, 421),
        ({"host": None}, 400),
        ({"origin": "http://attacker.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:1"}, 403),
    ],
)
def test_who_may_not_ask_is_told_nothing(served, path, headers, status):
    about = {"port": served.port, "token": served.token}
    headers = {name: text and text.format(**about) for name, text in headers.items()}
    answer = served.ask(path, **headers)
    assert answer.status == status
    assert b"HighJump" not in answer.data
    assert served.token.encode() not in answer.data


@pytest.mark.parametrize("token", ["", "x", "{token}x", "%00", "é"])
def test_a_wrong_token_in_the_address_is_refused(served, token):
    from urllib.parse import quote

    answer = served.ask(f"/?token={quote(token.format(token=served.token))}", cookie=None)
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/act", "/import?name=a.csv"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # A form of another site (CSRF) can send text here, and its browser tells where it is from.
        ({"origin": None}, 403),
        ({"origin": "http://attacker.example"}, 403),
        ({"origin": "http://localhost:{port}"}, 403),
        ({"cookie": None}, 403),
        ({"host": "localhost:{port}"}, 403),
    ],
)
def test_an_action_of_another_site_is_refused(served, path, headers, status):
    before = served.service.corrections.states()
    about = {"port": served.port}
    headers = {name: text and text.format(**about) for name, text in headers.items()}
    action = {"video": 0, "version": 0, "action": {"verb": "accept", "numbers": [3]}}
    assert served.ask(path, action, **headers).status == status
    assert served.service.corrections.states() == before


def test_localhost_is_this_machine_too(served):
    own = f"localhost:{served.port}"
    assert served.ask("/state", host=own).status == 200
    assert served.ask("/act", {}, host=own, origin=f"http://{own}").status == 422


def test_only_this_machine_is_listened_to(served):
    connection = http.client.HTTPConnection("127.0.0.2", served.port, timeout=5)
    with pytest.raises(OSError, match="refused"):
        connection.request("GET", "/")


def test_a_websocket_is_refused(served):
    headers = {"upgrade": "websocket", "connection": "Upgrade", "sec_websocket_version": "13"}
    answer = served.ask("/state", sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==", **headers)
    assert answer.status == 200
