"""The general API beside chat: embeddings, files, sound, images, tasks, tools; and the MCP servers."""

import base64
import hashlib
import json
import struct
from typing import Any

import pytest

from simulator.api import general
from simulator.api.files import FileStore, StoredFile
from simulator.api.multipart import parts_of
from tests.unit.simulator.talk import ASK, Api, events, sim

BASES = ("/api/paas/v4", "/api/coding/paas/v4")
PAAS = BASES[0]
MCP = "/api/mcp/web_search_prime/mcp"
BINARY = bytes(range(256)) * 40 + b"\r\n--not a boundary\r\n\r\n--"


def rpc(method: str, call_id: object = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call_id, "method": method, "params": params}


@pytest.mark.parametrize("base", BASES)
def test_embeddings_are_vectors_that_depend_on_the_text_alone(api: Api, base: str) -> None:
    ask = {"model": "embedding-3", "input": ["a", "b", "a"], "dimensions": 8}

    body = api.http.post(f"{base}/embeddings", json=ask, headers=sim(input_tokens=12)).json()

    vectors = [item["embedding"] for item in body["data"]]
    assert [item["index"] for item in body["data"]] == [0, 1, 2]
    assert len(vectors[0]) == 8
    assert vectors[0] == vectors[2] != vectors[1]
    assert body["usage"] == {"prompt_tokens": 12, "completion_tokens": 0, "total_tokens": 12}
    assert api.settled()["usage_sent"]["input"] == 12


def test_embeddings_come_packed_for_those_who_want_it(api: Api) -> None:
    ask = {"model": "embedding-3", "input": "a", "dimensions": 4}

    plain = api.http.post(f"{PAAS}/embeddings", json=ask).json()["data"][0]["embedding"]
    packed = api.http.post(f"{PAAS}/embeddings", json={**ask, "encoding_format": "base64"}).json()

    assert struct.unpack("<4f", base64.b64decode(packed["data"][0]["embedding"])) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("base", BASES)
def test_an_uploaded_file_is_told_by_size_and_digest_and_comes_back_whole(api: Api, base: str) -> None:
    files = {"file": ("ünï.bin", BINARY, "application/octet-stream")}

    uploaded = api.http.post(f"{base}/files", files=files, data={"purpose": "batch"}).json()
    about = api.http.get(f"{base}/files/{uploaded['id']}").json()
    listed = api.http.get(f"{base}/files").json()["data"]
    content = api.http.get(f"{base}/files/{uploaded['id']}/content")
    deleted = api.http.delete(f"{base}/files/{uploaded['id']}").json()
    gone = api.http.get(f"{base}/files/{uploaded['id']}/content")

    assert uploaded["bytes"] == len(BINARY)
    assert uploaded["sha256"] == hashlib.sha256(BINARY).hexdigest()
    assert (uploaded["filename"], uploaded["purpose"]) == ("ünï.bin", "batch")
    assert listed == [uploaded] == [about]
    assert content.content == BINARY
    assert content.headers["content-type"] == "application/octet-stream"
    assert deleted["deleted"]
    assert gone.status_code == 400


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--x--"),
        ("multipart/form-data; boundary=x", b"--y\r\n"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhal'),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nno name\r\n--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
    ],
)
def test_an_upload_that_is_no_whole_form_is_refused(api: Api, content_type: str, body: bytes) -> None:
    response = api.http.post(f"{PAAS}/files", content=body, headers={"content-type": content_type})

    assert response.status_code == 400
    assert response.json()["error"]["code"] in ("1210", "1214")


def test_a_file_beyond_the_limit_has_a_code_of_its_own(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert general.MAX_FILE_BYTES == 100 * 1024 * 1024
    monkeypatch.setattr(general, "MAX_FILE_BYTES", 1000)
    files = {"file": ("big", b"\0" * 1001)}

    response = api.http.post(f"{PAAS}/files", files=files, data={"purpose": "batch"})

    assert response.json()["error"]["code"] == "435"


def test_the_store_drops_the_oldest_files_beyond_its_size() -> None:
    store = FileStore(max_bytes=10)
    for name in ("a", "b", "c"):
        store.add(StoredFile(name, name, "batch", 0, b"12345"))

    assert [file.id for file in store.all()] == ["b", "c"]
    assert store.get("a") is None


def test_parts_keep_their_bytes() -> None:
    body = (
        b'preamble\r\n--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n--xx\r\n'
        b'--x\r\nContent-Disposition: form-data; filename="f"; name="b"\r\nX: y\r\n\r\n--\r\n--x--\r\nepilogue'
    )

    parts = parts_of(body, 'multipart/form-data; boundary="x"')

    assert [(part.name, part.file_name, part.data) for part in parts] == [
        ("a", None, b"\r\n--xx"),
        ("b", "f", b"--"),
    ]


def test_speech_is_binary_and_the_same_for_the_same_text(api: Api) -> None:
    ask = {"model": "glm-tts", "input": "hello", "voice": "tongtong"}

    first = api.http.post(f"{PAAS}/audio/speech", json=ask, headers=sim(audio_bytes=100_000))
    again = api.http.post(f"{PAAS}/audio/speech", json={**ask, "response_format": "wav"}, headers=sim(audio_bytes=9))

    assert first.headers["content-type"] == "audio/pcm"
    assert again.headers["content-type"] == "audio/wav"
    assert len(first.content) == 100_000
    assert first.content.startswith(again.content)


def test_speech_can_stream(api: Api) -> None:
    ask = {"model": "glm-tts", "input": "hello", "stream": True}

    text = api.http.post(f"{PAAS}/audio/speech", json=ask, headers=sim(audio_bytes=3000)).text

    sound = [base64.b64decode(event["choices"][0]["delta"].get("content", "")) for event in events(text)]
    assert len(b"".join(sound)) == 3000
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_recording_is_transcribed(api: Api, stream: str) -> None:
    form = {"model": "glm-asr", "stream": stream}

    response = api.http.post(f"{PAAS}/audio/transcriptions", data=form, files={"file": ("a.wav", BINARY)})

    body = events(response.text)[-1] if stream == "true" else response.json()
    assert body["text"].startswith("The answer")
    assert body["model"] == "glm-asr"


def test_a_task_is_taken_on_and_its_result_is_there(api: Api) -> None:
    task = api.http.post(f"{PAAS}/async/chat/completions", json={"model": "glm-4.6", "messages": ASK}).json()

    result = api.http.get(f"{PAAS}/async-result/{task['id']}").json()

    assert task["task_status"] == "PROCESSING"
    assert result["task_status"] == "SUCCESS"
    assert result["id"] == task["id"]
    assert result["choices"][0]["message"]["content"]


PLAIN: dict[str, dict[str, Any]] = {
    "images/generations": {"model": "cogview-4", "prompt": "a cat"},
    "async/images/generations": {"model": "cogview-4", "prompt": "a cat"},
    "videos/generations": {"model": "cogvideox-3", "prompt": "a cat"},
    "tokenizer": {"model": "glm-4.6", "messages": ASK},
    "web_search": {"search_engine": "search-prime", "search_query": "cats"},
    "reader": {"url": "https://example.org"},
    "moderations": {"model": "moderation", "input": "hello"},
    "rerank": {"model": "rerank", "query": "cats", "documents": ["a", "b"]},
    "embeddings": {"model": "embedding-3", "input": "a"},
    "audio/speech": {"model": "glm-tts", "input": "hello"},
    "async/chat/completions": {"model": "glm-4.6", "messages": ASK},
}


@pytest.mark.parametrize("path", PLAIN)
def test_every_endpoint_answers_a_good_request(api: Api, path: str) -> None:
    assert api.http.post(f"{PAAS}/{path}", json=PLAIN[path]).status_code == 200


@pytest.mark.parametrize("path", PLAIN)
@pytest.mark.parametrize("body", [{}, {"model": 3, "url": 3, "search_query": 3}, [], None], ids=str)
def test_every_endpoint_refuses_a_bad_request(api: Api, path: str, body: object) -> None:
    response = api.http.post(f"{PAAS}/{path}", json=body)

    assert response.status_code == 400
    assert response.json()["error"]["code"] in ("1210", "1214")


def test_the_tokenizer_counts(api: Api) -> None:
    body = api.http.post(f"{PAAS}/tokenizer", json=PLAIN["tokenizer"], headers=sim(input_tokens=77)).json()

    assert body["usage"]["prompt_tokens"] == 77


@pytest.mark.parametrize("server", ["web_search_prime", "web_reader", "zread"])
def test_an_mcp_server_lists_its_tools_and_answers_a_call(api: Api, server: str) -> None:
    path = f"/api/mcp/{server}/mcp"

    started = api.http.post(path, json=rpc("initialize", protocolVersion="2025-03-26"))
    tool = api.http.post(path, json=rpc("tools/list")).json()["result"]["tools"][0]
    called = api.http.post(path, json=rpc("tools/call", name=tool["name"], arguments={"q": "cats"})).json()

    assert started.headers["mcp-session-id"]
    assert started.json()["result"]["serverInfo"]["name"] == server
    assert started.json()["result"]["protocolVersion"] == "2025-03-26"
    assert tool["inputSchema"]["type"] == "object"
    assert "cats" in called["result"]["content"][0]["text"]


def test_an_mcp_server_streams_to_those_who_accept_it(api: Api) -> None:
    headers = {"accept": "application/json, text/event-stream"}

    response = api.http.post(MCP, json=rpc("ping", call_id="a"), headers=headers)

    assert response.headers["content-type"].startswith("text/event-stream")
    assert events(response.text) == [{"jsonrpc": "2.0", "id": "a", "result": {}}]


def test_an_mcp_server_takes_notifications_without_an_answer(api: Api) -> None:
    response = api.http.post(MCP, json={"jsonrpc": "2.0", "method": "notifications/initialized"})

    assert (response.status_code, response.content) == (202, b"")


@pytest.mark.parametrize(
    ("body", "code"), [(rpc("nothing/such"), -32601), ({"id": 1}, -32600), ([], -32600), (None, -32600)]
)
def test_an_mcp_server_refuses_as_json_rpc_does(api: Api, body: object, code: int) -> None:
    assert api.http.post(MCP, content=json.dumps(body).encode()).json()["error"]["code"] == code


def test_an_mcp_server_offers_no_stream_of_its_own_and_ends_a_session(api: Api) -> None:
    listening, ended = api.http.get(MCP), api.http.delete(MCP)

    assert (listening.status_code, listening.headers["allow"]) == (405, "POST, DELETE")
    assert ended.status_code == 200


def test_the_old_mcp_form_names_its_address_for_messages(api: Api) -> None:
    path = "/api/mcp/zread/sse"

    text = api.http.get(f"{path}?Authorization={api.key}", headers={"authorization": ""}).text

    place = text.removeprefix("event: endpoint\ndata: ").strip()
    assert place.startswith(f"{path}?sessionId=")
    assert api.http.post(place, json=rpc("ping")).json()["result"] == {}


def test_the_old_mcp_form_takes_the_key_in_the_query(api: Api) -> None:
    del api.http.headers["authorization"]

    assert api.http.post(f"{MCP}?Authorization={api.key}", json=rpc("ping")).status_code == 200
    assert api.http.post(f"{MCP}?Authorization=other", json=rpc("ping")).status_code == 401
    assert api.entry()["path"] == f"{MCP}?Authorization=***"
