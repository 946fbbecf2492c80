"""Generate `aisle_protocol/generated/` from the .proto files, or check that it is fresh.

    python protos/generate.py          # write the stubs
    python protos/generate.py --check  # exit 1 when they differ from what the .proto files give

Triton's messages are `package inference`, and so are those of NVIDIA's client. Two files that define the same names cannot
live in one descriptor pool, so the stubs are put into a pool of their own (`_pool.py`): then both can be imported by one process.
protoc runs in a process of its own, for it dies in one that has imported TensorFlow.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
PACKAGE = "aisle_protocol/generated"
GENERATED = PROTOS / PACKAGE

POOL = '''"""The descriptor pool of Aisle's stubs, apart from the default one. Written by protos/generate.py."""

from google.protobuf.descriptor_pool import DescriptorPool

POOL = DescriptorPool()
'''
INIT = '''"""Protocol stubs. Written by protos/generate.py, never edited."""
'''
# Left: what protoc writes. Right: the same, in our pool.
DEFAULT_POOL = "_descriptor_pool.Default().AddSerializedFile("
PRIVATE_POOL = "_POOL.AddSerializedFile("
DEFAULT_POOL_IMPORT = "from google.protobuf import descriptor_pool as _descriptor_pool\n"
PRIVATE_POOL_IMPORT = f"from {PACKAGE.replace('/', '.')}._pool import POOL as _POOL\n"


def generate(target: Path) -> None:
    """Write the stubs of every .proto file into a folder.

    Args:
        target: The folder that stands for `aisle_protocol/generated/`; it exists.

    Raises:
        subprocess.CalledProcessError: protoc refused a file; it has said why on standard error.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = sorted(f"{PACKAGE}/{proto.name}" for proto in PROTOS.glob("*.proto"))
        # The virtual path makes the imports between stubs come out right, so nothing has to be rewritten for that.
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PACKAGE}={PROTOS}"]
        command += [f"--python_out={scratch}", f"--pyi_out={scratch}", f"--grpc_python_out={scratch}", *files]
        subprocess.run(command, check=True)
        for stub in sorted((Path(scratch) / PACKAGE).iterdir()):
            text = stub.read_text()
            if stub.name.endswith("_pb2.py"):
                text = _with_private_pool(text, stub.name)
            if stub.name == "model_config_pb2_grpc.py":
                continue  # that file defines no service
            (target / stub.name).write_text(text)
    (target / "_pool.py").write_text(POOL)
    (target / "__init__.py").write_text(INIT)


def _with_private_pool(text: str, name: str) -> str:
    if DEFAULT_POOL not in text or DEFAULT_POOL_IMPORT not in text:
        raise SystemExit(
            f"{name}: protoc's output has changed; teach protos/generate.py where the descriptor pool is named now"
        )
    return text.replace(DEFAULT_POOL_IMPORT, PRIVATE_POOL_IMPORT).replace(DEFAULT_POOL, PRIVATE_POOL)


def stale_files() -> list[str]:
    """Names of generated files that differ from what the .proto files give, missing and superfluous ones included."""
    with tempfile.TemporaryDirectory() as scratch:
        fresh_folder = Path(scratch)
        generate(fresh_folder)
        fresh = {path.name: path.read_bytes() for path in fresh_folder.iterdir()}
    present = {path.name: path.read_bytes() for path in GENERATED.iterdir() if path.is_file()}
    return sorted(name for name in fresh.keys() | present.keys() if fresh.get(name) != present.get(name))


def main() -> int:
    """Generate, or check with --check. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only compare; exit 1 when something is stale")
    if parser.parse_args().check:
        stale = stale_files()
        if stale:
            print(f"stale: {', '.join(stale)}; run `make protos`", file=sys.stderr)
        return 1 if stale else 0
    generate(GENERATED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
