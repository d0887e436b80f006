from importlib import resources
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parents[3]


def test_the_compiled_messages_are_those_of_the_proto_files(tmp_path: Path) -> None:
    protos = sorted(str(path) for path in (ROOT / "proto").glob("*.proto"))

    well_known = resources.files("grpc_tools") / "_proto"
    assert (
        protoc.main(
            [
                "protoc",
                f"-I{ROOT / 'proto'}",
                f"-I{well_known}",
                f"--python_out={tmp_path}",
                f"--pyi_out={tmp_path}",
                *protos,
            ]
        )
        == 0
    )

    for made in tmp_path.iterdir():
        committed = ROOT / "extproc" / "transport" / "pb" / made.name
        assert committed.read_text() == made.read_text(), f"{made.name} is out of date: make proto"
