"""Every command on our pages is run here, against a demo, or the page says what it needs."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.harness.ports import free_port
from tests.harness.processes import ROOT, Process, bare_environment
from tests.harness.stack import ZAI_PROXY
from tests.harness.supervised import Supervised, answers, free_ports, supervised
from tests.harness.waiting import wait_until

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LANGUAGES = {"sh", "python", "promql", "json", "toml", "yaml", "nginx", "haproxy", "caddy"}
NEEDS = re.compile(r"\b[Nn]eeds (?:Docker|Node|Claude Code|an? (?:cluster|key|wheel))")
"""What the paragraph before a block says if it isn't run here: tests/deploy has Docker, tests/agents Claude Code."""
RUN_ELSEWHERE = {"make demo", "make test", "make sbom"}
"""tests/integration/test_demo.py runs the first, the second is what runs this, tests/deploy/test_files.py the third."""
WAITS = 3
"""What `zai-proxy canary-check` exits with where there is no canary, as in the demo."""

pytestmark = [pytest.mark.timeout(180), pytest.mark.slow]


class Block(NamedTuple):
    """A fenced block: where it is, its language, its text, and the paragraph before it."""

    page: str
    language: str
    text: str
    before: str

    @property
    def name(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0][:50]}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text()
        for found in re.finditer(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
            before = text[: found.start()].rstrip().rpartition("\n\n")[2]
            yield Block(str(page.relative_to(ROOT)), found[1], found[2], before)


def inline_commands() -> list[str]:
    """What stands between single backquotes in a sentence, is a command, and ends by itself."""
    text = "".join("".join(page.read_text().split("```")[::2]) for page in PAGES)
    spans = {span for span in re.findall(r"`([^`\n]+)`", text) if re.match(r"curl |zai-proxy (usage|version)\b", span)}
    return sorted(spans)


BLOCKS = list(blocks())
RUN = [block for block in BLOCKS if block.language == "sh" and not NEEDS.search(block.before)]


def test_a_block_says_what_it_is_or_is_a_drawing() -> None:
    for block in BLOCKS:
        assert block.language in LANGUAGES or "─" in block.text, block.name


def test_the_pages_have_commands_of_both_kinds() -> None:
    assert len(RUN) >= 8
    assert any(NEEDS.search(block.before) for block in BLOCKS)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    directory = tmp_path_factory.mktemp("demo")
    environment = bare_environment(**free_ports(), DB_PATH=str(directory / "dashboard.db"))
    with supervised(directory, environment, "demo") as demo:
        demo.until_ready()
        yield demo


@pytest.fixture(scope="module")
def prometheus(demo: Supervised, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a Prometheus that scrapes the demo."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is missing: apt-get install prometheus")
    directory, port = tmp_path_factory.mktemp("prometheus"), free_port()
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())
    config["rule_files"] = []
    config["scrape_configs"][0]["static_configs"] = [{"targets": [demo.metrics_url.removeprefix("http://")]}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    where = [f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}"]
    command = ["prometheus", *where, f"--web.listen-address=127.0.0.1:{port}"]
    process = Process("prometheus", command, bare_environment(), directory)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/-/ready"), "Prometheus is ready", within=60)
        yield port
    finally:
        process.kill()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, so that commands can write in it."""
    place = tmp_path_factory.mktemp("clone") / "zai-proxy"
    left_out = shutil.ignore_patterns(".venv", ".git", "node_modules", ".*_cache")
    shutil.copytree(ROOT, place, symlinks=True, ignore=left_out)
    (place / ".venv").symlink_to(ROOT / ".venv")
    return place


class Shell:
    """Runs what a page says as a person would from the root of a clone, with a home of its own and the demo's ports."""

    def __init__(self, clone: Path, demo: Supervised, prometheus: int, home: Path) -> None:
        self._clone = clone
        ports = {"8080": demo.url, "9090": demo.metrics_url, "8081": demo.dashboard_url}
        self._urls = {f"http://127.0.0.1:{port}": url for port, url in ports.items()}
        self._urls["http://127.0.0.1:9091"] = f"http://127.0.0.1:{prometheus}"
        path = f"{ZAI_PROXY.parent}:{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(home), "PROXY": demo.url, "METRICS": demo.metrics_url}
        self._environment = {**demo.environment, **own}

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        placed = [self._placed(part) for part in command]
        return subprocess.run(
            placed, cwd=self._clone, env=self._environment, capture_output=True, text=True, timeout=120
        )

    def _placed(self, text: str) -> str:
        for documented, url in self._urls.items():
            text = text.replace(documented, url)
        return text


@pytest.fixture
def shell(clone: Path, demo: Supervised, prometheus: int, tmp_path: Path) -> Shell:
    return Shell(clone, demo, prometheus, tmp_path)


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.name)
def test_a_command_of_a_page_works(shell: Shell, block: Block) -> None:
    lines = [line for line in block.text.splitlines() if line.partition("#")[0].strip() not in RUN_ELSEWHERE]
    done = shell.run("bash", "-eu", "-o", "pipefail", "-c", "\n".join(lines))
    expected = WAITS if "canary-check" in block.text else 0
    assert done.returncode == expected, done.stdout + done.stderr


@pytest.mark.parametrize("command", inline_commands())
def test_a_command_in_a_sentence_works(shell: Shell, command: str) -> None:
    done = shell.run("bash", "-eu", "-c", command)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "python"], ids=lambda block: block.text.splitlines()[0]
)
def test_the_code_of_a_page_works(shell: Shell, block: Block) -> None:
    done = shell.run(sys.executable, "-c", block.text)
    assert done.returncode == 0, done.stderr
