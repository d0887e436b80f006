"""No test talks to Z.AI itself."""

import asyncio
import socket

import pytest

from extproc.commands.verify import Options, Verifier
from extproc.settings import load_settings
from tests.harness.processes import make_key


@pytest.mark.parametrize("host", ["api.z.ai", "API.Z.AI.", "z.ai"])
def test_the_real_host_has_no_address_in_a_test(host: str) -> None:
    with pytest.raises(socket.gaierror, match="no test looks up"):
        socket.create_connection((host, 443))


def test_verify_with_its_default_target_reaches_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZAI_API_KEY", make_key())
    for name in ("ZAI_TARGET_URL", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    options = Options(spend=8000, model="glm-5.3-flash", places=True, yes=True, as_json=False, directory=None, idle=0)
    settings = load_settings(True)
    verifier = Verifier(settings, options, lambda _line: None)

    asyncio.run(verifier.run())

    assert settings.zai_target_url == "https://api.z.ai"
    assert {exchange.failure for exchange in verifier.evidence().all} == {"ConnectError"}
    assert not verifier.was_answered
    assert verifier.budget.sent <= 2
