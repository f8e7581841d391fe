"""Makes what the examples in Node and Go need before they can run, and says what can not be made.

For Node: the contract as one file of descriptors, and the libraries that `package.json` names. For
Go: stubs, programs, and the checks of `go vet`. Both get the service config of the contract. The
examples in Python need nothing.

Where there is no Node or no Go, or nowhere to get libraries from, that is said and is no failure;
libraries that are to be had and do not fit are one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from generate import PACKAGE, PROTOS, ProtocError, proto_files, run_protoc

CLIENTS = Path(__file__).resolve().parent
SERVICE_CONFIG = PROTOS / PACKAGE / "service_config.json"
GOOGLE_RPC = ("google/rpc/error_details.proto", "google/rpc/status.proto")
GO_PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
}
NODE_MIN = 20
GO_PROGRAMS = ("dialer", "campaign", "partner")


class SkippedError(Exception):
    """A language is left out; the message says why."""


class FaultError(Exception):
    """A language should work and does not; the message says why."""


def run(directory: Path, *command: str) -> str:
    """Run a command, and give what it printed. Raises FaultError."""
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        raise FaultError(f"{' '.join(command)}: {finished.stderr.strip()}")
    return finished.stdout


def fetch(directory: Path, command: Sequence[str], question: Sequence[str], what: str) -> None:
    """Get libraries. Raises SkippedError if not even `question` is answered, else FaultError."""
    try:
        run(directory, *command)
    except FaultError as fault:
        try:
            # Elsewhere: what is at fault here would keep it from being answered too.
            run(Path(tempfile.gettempdir()), *question)
        except FaultError:
            raise SkippedError(f"{what} can not be reached") from fault
        raise


def prepare_node() -> None:
    """Make `node/generated` and `node/node_modules`. Raises SkippedError and FaultError."""
    directory = CLIENTS / "node"
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise SkippedError("there is no node with npm here")
    major = int(run(directory, "node", "--version").removeprefix("v").partition(".")[0])
    if major < NODE_MIN:
        raise SkippedError(f"node {major} is older than {NODE_MIN}")
    generated = directory / "generated"
    generated.mkdir(exist_ok=True)
    descriptors = generated / "maywe.binpb"
    run_protoc(
        ["--include_imports", f"--descriptor_set_out={descriptors}"], [*proto_files(), *GOOGLE_RPC]
    )
    shutil.copyfile(SERVICE_CONFIG, generated / SERVICE_CONFIG.name)
    # No script of a library is run, and what is installed is what the lock names, by its hashes.
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    fetch(directory, install, ["npm", "ping"], "the npm registry")


def prepare_go() -> None:
    """Make `go/v1` and `go/bin`. Raises SkippedError and FaultError."""
    directory = CLIENTS / "go"
    if shutil.which("go") is None:
        raise SkippedError("there is no go here")
    try:
        run(directory, "go", "list", "-m")
    except FaultError as fault:
        if "go.mod requires go" in str(fault):
            raise SkippedError("the go here is older than go.mod requires") from fault
        raise
    newest = ["go", "list", "-m", "google.golang.org/grpc@latest"]
    fetch(directory, ["go", "mod", "download"], newest, "the Go module proxy")
    plugins = [
        f"--plugin={name}={run(directory, 'go', 'tool', '-n', path).strip()}"
        for name, path in GO_PLUGINS.items()
    ]
    outputs = [
        f"--{kind}_{option}"
        for kind in ("go", "go-grpc")
        for option in (f"out={directory}", "opt=module=maywe")
    ]
    run_protoc([*plugins, *outputs], proto_files())
    shutil.copyfile(SERVICE_CONFIG, directory / "v1" / SERVICE_CONFIG.name)
    run(directory, "go", "vet", "./...")
    shutil.rmtree(directory / "bin", ignore_errors=True)
    run(directory, "go", "build", "-o", f"bin{os.sep}", *(f"./{name}" for name in GO_PROGRAMS))


def main() -> int:
    """Prepare each language; the exit status is 1 if one should work and does not."""
    status = 0
    for name, prepare in (("Node", prepare_node), ("Go", prepare_go)):
        try:
            prepare()
        except SkippedError as skipped:
            print(f"clients: {name} SKIPPED: {skipped}")
        except (FaultError, ProtocError) as fault:
            print(f"clients: {name} is faulty: {fault}", file=sys.stderr)
            status = 1
        else:
            print(f"clients: {name} is ready")
    return status


if __name__ == "__main__":
    sys.exit(main())
