#!/usr/bin/env python3
"""Build every package in dist/, check it, and try its publication without an upload: docs/releasing.md.

With --only, this does one ecosystem. With --final, the release must be ready: the tree is committed, generated code is
up to date, and the changelog has the version.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tools import maven, typescript  # noqa: E402 - after sys.path
from tools.generate import GENERATED, GO_ENVIRONMENT, RUST_TARGET, MissingToolchainError, StepFailedError, run  # noqa: E402

DIST = ROOT / "dist"
CLIENTS = ROOT / "clients"
VERSION = (ROOT / "VERSION").read_text().strip()
UV = Path(sys.executable).parent / "uv"
GO_TAGS = tuple(f"{module}/v{VERSION}" for module in ("generated/go", "clients/go"))


class NotReadyError(Exception):
    """Something is left to do before a release."""


def python(out: Path) -> None:
    """The distributions of the stubs, the client and the gateway: install the wheels, and run the command."""
    for folder in (GENERATED / "python", CLIENTS / "python", ROOT):
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, folder)
    run(UV, "publish", "--dry-run", *sorted(out.iterdir()))
    with tempfile.TemporaryDirectory() as scratch:
        # Without dependencies: those of this environment are used.
        run(UV, "pip", "install", "--quiet", "--no-deps", "--target", scratch, *sorted(out.glob("*.whl")))
        command = (sys.executable, "-P", "-m", "gateway", "--version")
        printed = run(*command, cwd=Path(scratch), env={"PYTHONPATH": scratch})
    if VERSION not in printed:
        raise NotReadyError(f"the installed gateway prints {printed.strip()}")


def npm(out: Path) -> None:
    """The packages of the TypeScript client and stubs."""
    for folder in (typescript.build_client(), GENERATED / "typescript"):
        typescript.npm("pack", "--pack-destination", out, cwd=folder)
    for package in sorted(out.iterdir()):
        typescript.npm("publish", "--dry-run", "--ignore-scripts", package, cwd=out)


def cargo(out: Path) -> None:
    """The crates of the Rust client and stubs: Cargo compiles what it packs."""
    for folder in (CLIENTS / "rust", GENERATED / "rust"):
        with tempfile.TemporaryDirectory() as scratch:
            # A copy, because Cargo writes a lock file beside the manifest.
            crate = Path(shutil.copytree(folder, Path(scratch) / "crate"))
            target = {"CARGO_TARGET_DIR": str(RUST_TARGET)}
            run("cargo", "package", "--quiet", cwd=crate, env=target)
            run("cargo", "publish", "--dry-run", "--no-verify", "--quiet", cwd=crate, env=target)
        (packed,) = (RUST_TARGET / "package").glob(f"{_crate_name(folder)}-{VERSION}.crate")
        shutil.move(packed, out / packed.name)


def _crate_name(folder: Path) -> str:
    found = re.search(r'^name = "(.+)"$', (folder / "Cargo.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def java(out: Path) -> None:
    """The Maven artifacts of the Java client, with sources and documentation, in a repository of files."""
    maven.deploy(out)


def go(out: Path) -> None:
    """The two Go modules. Go publishes tags; a test installs a release of them."""
    for module in (GENERATED / "go", CLIENTS / "go"):
        run("go", "mod", "tidy", "-diff", cwd=module, env=GO_ENVIRONMENT)
        run("go", "vet", "./...", cwd=module, env=GO_ENVIRONMENT)
    (out / "tags").write_text("".join(f"{tag}\n" for tag in GO_TAGS))


ECOSYSTEMS: Mapping[str, tuple[str, Callable[[Path], None]]] = {
    "python": ("uv publish dist/python/*", python),
    "npm": ("npm publish FILE, for each file of dist/npm", npm),
    "cargo": ("cargo publish, in generated/rust and clients/rust", cargo),
    "java": ("mvn deploy -Prelease, in clients/java", java),
    "go": (f"git push origin {' '.join(GO_TAGS)}", go),
}
"""For each ecosystem, the command that publishes, and the function that builds and checks."""


def require_ready() -> None:
    """Raise NotReadyError or StepFailedError if the working tree is not a release."""
    changes = run("git", "status", "--porcelain", cwd=ROOT)
    if changes:
        raise NotReadyError(f"not committed:\n{changes.rstrip()}")
    if not re.search(rf"^## \[{re.escape(VERSION)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE):
        raise NotReadyError(f"CHANGELOG.md has no section [{VERSION}]")
    run(sys.executable, ROOT / "tools" / "version.py", "--check")
    run(sys.executable, ROOT / "tools" / "generate.py", "--check", env={"CI": "true"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 if something failed."""
    parser = argparse.ArgumentParser(description="Build, check and dry-run the publication of every package.")
    parser.add_argument("--final", action="store_true", help="fail if the working tree is not ready for the release")
    parser.add_argument("--only", action="append", choices=ECOSYSTEMS, help="only this ecosystem; may be repeated")
    options = parser.parse_args(arguments)
    names = options.only or list(ECOSYSTEMS)
    try:
        if options.final:
            require_ready()
        for name in names:
            out = DIST / name
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            ECOSYSTEMS[name][1](out)
            files = sorted(path for path in out.rglob("*") if path.is_file())
            print(f"{name}: {len(files)} files in {os.path.relpath(out, ROOT)}", flush=True)
    except (MissingToolchainError, NotReadyError, StepFailedError) as error:
        print(f"{error}\n!!! NOT READY", file=sys.stderr)
        return 1
    print(f"version {VERSION} is built and checked; nothing was uploaded. To publish:")
    for name in names:
        print(f"  {ECOSYSTEMS[name][0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
