"""The key in the form that each surface wants, and what is told of the credentials that came."""

import secrets
import time
from typing import Any

import jwt
import pytest

from simulator.api.endpoints import Endpoint, find
from simulator.plan.keys import KEY_FORM, NOBODYS_KEY, KeyRing, Surface, accepted, report
from tests.unit.simulator.talk import Api

# Z.AI's secrets are shorter than PyJWT would have them.
pytestmark = pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")

NOW = 1_800_000_000.0
GETS = {
    Surface.ANTHROPIC: "/api/anthropic/v1/models",
    Surface.CODING: "/api/coding/paas/v4/models",
    Surface.PAAS: "/api/paas/v4/models",
    Surface.RESPONSES: "/api/v1/models",
    Surface.MONITOR: "/api/monitor/usage/quota/limit",
}
MODEL_SURFACES = (Surface.CODING, Surface.PAAS, Surface.RESPONSES)


def make_key() -> str:
    return f"{secrets.token_hex(16)}.{secrets.token_hex(8)}"


def token(key: str, *, expires: float = NOW + 100, secret: str | None = None, name: str | None = None) -> str:
    own_name, own_secret = key.split(".")
    claims = {"api_key": name or own_name, "exp": int(expires * 1000), "timestamp": int(NOW * 1000)}
    head = {"alg": "HS256", "sign_type": "SIGN"}
    return jwt.encode(claims, secret or own_secret, algorithm="HS256", headers=head)


def refusals(key: str, **headers: str) -> dict[Surface, str | None]:
    """The code with which each surface refuses these headers, or None."""
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    credentials = report(KeyRing(key), named, [], NOW)
    return {surface: accepted(surface, credentials) for surface in Surface}


def takers(key: str, **headers: str) -> set[Surface]:
    return {surface for surface, code in refusals(key, **headers).items() if code is None}


def test_every_surface_takes_the_key_as_a_bearer_token() -> None:
    key = make_key()

    assert takers(key, authorization=f"Bearer {key}") == set(Surface)


def test_only_the_anthropic_surface_takes_x_api_key() -> None:
    key = make_key()

    assert takers(key, x_api_key=key) == {Surface.ANTHROPIC}


def test_only_the_monitor_takes_the_bare_key() -> None:
    key = make_key()

    assert takers(key, authorization=key) == {Surface.MONITOR}


def test_no_surface_takes_another_header_or_scheme() -> None:
    key = make_key()

    assert takers(key, api_key=key) == set()
    assert takers(key, cookie=f"key={key}") == set()
    assert takers(key, authorization=f"Basic {key}") == set()


def test_only_mcp_takes_the_key_in_the_query() -> None:
    key = make_key()
    credentials = report(KeyRing(key), [], [("Authorization", key)], NOW)

    assert [surface for surface in Surface if accepted(surface, credentials) is None] == [Surface.MCP]


def test_a_token_that_the_key_signed_is_a_bearer_token_but_not_for_the_monitor() -> None:
    key = make_key()

    assert takers(key, authorization=f"Bearer {token(key)}") == set(Surface) - {Surface.MONITOR}


@pytest.mark.parametrize("wrong", [{"expires": NOW - 1}, {"secret": "x" * 16}, {"name": "y" * 32}], ids=str)
def test_a_token_that_is_old_or_forged_is_refused(wrong: dict[str, Any]) -> None:
    key = make_key()

    assert takers(key, authorization=f"Bearer {token(key, **wrong)}") == set()


@pytest.mark.parametrize("nonsense", ["a.b.c", "....", "e30.e30.e30", "é.é.é"])
def test_nonsense_is_no_token(nonsense: str) -> None:
    assert not KeyRing(make_key()).is_right_token(nonsense, NOW)
    assert not KeyRing(None).is_right_token(nonsense, NOW)


def test_without_a_key_of_its_own_every_well_formed_key_is_right() -> None:
    ring = KeyRing(None)

    assert ring.is_right(make_key())
    assert not ring.is_right("short.key")
    assert not ring.is_right(NOBODYS_KEY)
    assert KEY_FORM.fullmatch(NOBODYS_KEY)
    assert ring.is_right_token(token(make_key()), NOW)


def test_a_missing_key_and_a_wrong_one_are_told_apart() -> None:
    key = make_key()

    assert set(refusals(key).values()) == {"1001"}
    assert set(refusals(key, authorization=f"Bearer {make_key()}").values()) == {"401"}


def test_the_report_says_where_the_right_key_stood() -> None:
    key = make_key()
    headers = [("authorization", f"Bearer {make_key()}"), ("x-api-key", key), ("x-odd", f"is {key}"), ("cookie", "a=b")]

    seen = report(KeyRing(key), headers, [("token", "mine"), ("q", "1")], NOW)

    assert seen.as_json() == {
        "authorization": "other",
        "x-api-key": "right key",
        "api-key": "absent",
        "cookie": "other",
        "query": "other",
    }
    assert seen.key_seen_in == ("x-api-key", "x-odd")
    assert seen.form == "bearer"


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "cookie"])
def test_a_credential_that_comes_twice_is_not_the_right_key(name: str) -> None:
    key = make_key()
    right = f"Bearer {key}" if name == "authorization" else key

    for headers in ([(name, "other"), (name, right)], [(name, right), (name, "other")]):
        seen = report(KeyRing(key), headers, [], NOW)
        assert seen.as_json()[name] == "other"
        assert accepted(Surface.ANTHROPIC, seen) is not None


def test_every_form_of_key_is_redacted() -> None:
    key = "a key of no known form"

    text = KeyRing(key).redact(f"{key} and {make_key()}")

    assert text == "*** and ***"


@pytest.mark.parametrize("surface", GETS)
def test_each_surface_answers_to_the_right_key(api: Api, surface: Surface) -> None:
    response = api.http.get(GETS[surface])

    assert response.status_code == 200
    assert response.json().get("success", True)
    assert find("GET", GETS[surface]) == Endpoint(surface, find("GET", GETS[surface]).action)  # type: ignore[union-attr]


def test_the_anthropic_surface_refuses_a_wrong_key_as_it_is_known_to(api: Api) -> None:
    response = api.http.get(GETS[Surface.ANTHROPIC], headers={"authorization": f"Bearer {make_key()}"})

    assert response.status_code == 401
    assert response.json() == {"error": {"message": "token expired or incorrect", "type": "401"}}


@pytest.mark.parametrize("surface", MODEL_SURFACES)
def test_the_openai_surfaces_refuse_a_wrong_key_with_a_code(api: Api, surface: Surface) -> None:
    response = api.http.get(GETS[surface], headers={"authorization": f"Bearer {make_key()}"})

    assert response.status_code == 401
    assert response.json() == {"error": {"code": "401", "message": "token expired or incorrect"}}


@pytest.mark.parametrize("surface", MODEL_SURFACES)
def test_the_openai_surfaces_refuse_x_api_key(api: Api, surface: Surface) -> None:
    del api.http.headers["authorization"]

    response = api.http.get(GETS[surface], headers={"x-api-key": api.key})

    assert response.status_code == 401
    assert response.json()["error"]["code"] == "1001"


def test_the_monitor_refuses_inside_an_http_200(api: Api) -> None:
    wrong = api.http.get(GETS[Surface.MONITOR], headers={"authorization": make_key()})
    del api.http.headers["authorization"]
    missing = api.http.get(GETS[Surface.MONITOR])

    assert wrong.status_code == missing.status_code == 200
    assert wrong.json() == {"code": 401, "msg": "token expired or incorrect", "data": None, "success": False}
    assert missing.json()["code"] == 1001


def test_the_sdks_token_is_taken(api: Api) -> None:
    signed = token(api.key, expires=time.time() + 100)

    response = api.http.get(GETS[Surface.PAAS], headers={"authorization": f"Bearer {signed}"})

    assert response.status_code == 200
    assert api.entry()["credentials"]["authorization"] == "right key"
    assert api.entry()["authorization_form"] == "jwt"


def test_the_journal_tells_what_credentials_came_and_holds_none(api: Api) -> None:
    other = make_key()
    headers = {"x-api-key": other, "cookie": "session=secret-cookie", "x-odd": f"has {api.key}"}

    api.http.get(f"{GETS[Surface.CODING]}?api_key=secret-value&q={other}", headers=headers)

    entry = api.entry()
    assert entry["credentials"] == {
        "authorization": "right key",
        "x-api-key": "other",
        "api-key": "absent",
        "cookie": "other",
        "query": "other",
    }
    assert set(entry["key_seen_in"]) == {"authorization", "x-odd"}
    assert entry["path"].endswith("/models?api_key=***&q=***")
    shown = str(entry)
    assert api.key not in shown
    assert other not in shown
    assert "secret" not in shown
    assert KEY_FORM.search(shown) is None


def test_the_journal_tells_when_the_key_was_in_a_body(api: Api) -> None:
    api.http.post("/api/paas/v4/tokenizer", json={"model": "glm-4.6", "messages": [{"content": api.key}]})
    assert api.entry()["key_in_body"]

    api.http.post("/api/paas/v4/tokenizer", json={"model": "glm-4.6", "messages": [{"content": "hello"}]})
    assert not api.entry()["key_in_body"]


@pytest.mark.parametrize("key", [None, make_key()], ids=["without", "with"])
@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_nobodys_key_opens_nothing_with_a_key_or_without(key: str | None, header: str) -> None:
    shown = NOBODYS_KEY if header == "x-api-key" else f"Bearer {NOBODYS_KEY}"
    credentials = report(KeyRing(key), [(header, shown)], [("key", NOBODYS_KEY)], NOW)

    assert [surface for surface in Surface if accepted(surface, credentials) is None] == []
    assert credentials.key_seen_in == ()
