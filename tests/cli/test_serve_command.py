import http.client
import re
import signal
import socket
import time

import pytest

pytest.importorskip("starlette", reason="starlette is not installed")
TOKEN = {"LABEL_STUDIO_API_KEY": "0123456789abcdef"}
NOWHERE = ["--label-studio", "http://127.0.0.1:1"]


@pytest.mark.parametrize(
    ("words", "environment", "code", "message"),
    [
        (["{tmp}/none", "{tmp}"], {}, 1, "none: no such run folder"),
        (["{dataset}", "{tmp}"], {}, 1, "not a run: has no config.yaml"),
        (["{run}", "{tmp}/none"], {}, 1, "none: no such file or folder"),
        (["{run}", "{tmp}", "--branch", "cpb"], {}, 2, "cpb"),
        (["{run}", "s3://bucket/"], {}, 2, "--allow"),
        (["s3://bucket/run"], {}, 2, "must be a local folder"),
        (["{run}", "--features", "s3://bucket/f"], {}, 2, "must be a local folder"),
        (["{run}", "--allow", "clips"], {}, 2, "--allow: 'clips' is no address"),
        (["{run}", *NOWHERE], {}, 2, "LABEL_STUDIO_API_KEY must hold a token"),
        (["{run}", *NOWHERE], TOKEN, 1, "Label Studio cannot be reached: Connection refused"),
        (["{run}", "--label-studio", "localhost"], TOKEN, 2, "is no address such as"),
        (["{run}", "--host", "0.0.0.0"], {}, 2, "set BASIC_AUTH_USER and BASIC_AUTH_PASS"),
        (["{run}", "--host", "::"], {"BASIC_AUTH_USER": "a"}, 2, "set BASIC_AUTH_USER and"),
        (["{run}", "--port", "{port}"], {}, 1, "of 127.0.0.1 cannot be used: "),
        (
            ["{run}", "--host", "localhost", "--port", "{port}"],
            {},
            1,
            "of localhost cannot be used",
        ),
        (["{run}", "--port", "70000"], {}, 2, "70000 is not in the range"),
        (["{run}", "--min-score", "nan"], {}, 2, "--min-score"),
        ([], {}, 2, "Missing argument 'RUN'"),
    ],
)
def test_what_is_wrong_with_a_call_is_one_line(
    duetal, tiny_run, tiny_dataset, tmp_path, monkeypatch, words, environment, code, message
):
    for name in ("LABEL_STUDIO_API_KEY", "BASIC_AUTH_USER", "BASIC_AUTH_PASS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        about = {"tmp": tmp_path, "run": tiny_run, "dataset": tiny_dataset}
        about["port"] = taken.getsockname()[1]
        given = [word.format(**about) for word in words]
        ended, _, error = duetal("serve", "label-studio", *given, "--out", tmp_path / "out")
    assert ended == code
    (line,) = error.splitlines()
    assert message in line


def test_the_nearest_tool_is_named(duetal):
    code, _, error = duetal("serve", "labelstudio")
    assert code == 2
    assert "the nearest is 'label-studio'" in error


def test_it_serves_until_it_is_interrupted(duetal, tiny_run, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("uvicorn.Server.run", lambda server, sockets: asked.append(sockets))
    code, told, _ = duetal("serve", "label-studio", tiny_run, "--out", tmp_path / "o", "--port", 0)
    assert code == 0
    assert "is served: http://127.0.0.1:" in told
    assert len(asked) == 1
    # The folder is free again.
    code, _, error = duetal("serve", "label-studio", tiny_run, "--out", tmp_path / "o", "--port", 0)
    assert code == 0, error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order(forked, tiny_run, tmp_path, number):
    from duetal.cli.main import main

    words = ["serve", "label-studio", tiny_run, "--out", tmp_path / "out", "--port", "0"]
    process = forked(main, [str(word) for word in words])
    deadline = time.monotonic() + 60
    try:
        printed, served = process.prints.with_suffix(".out"), r"is served: http://127.0.0.1:(\d+)"
        while not (printed.is_file() and (found := re.search(served, printed.read_text()))):
            assert time.monotonic() < deadline, process.err
            time.sleep(0.02)
        connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=30)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
        process.send_signal(number)
        assert process.wait(60) == 0, process.err
    finally:
        process.kill()
