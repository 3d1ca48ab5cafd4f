"""The Rust client: its tests and linters; its crate and README, in a project outside the repository."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.app.certificates import Authority
from tests.clients.programs import output_of
from tests.docs.markdown import blocks
from tests.durability.process import GatewayProcess
from tools.generate import GENERATED, ROOT, RUST_TARGET, run

# The first run on a machine compiles gRPC, for the tests, for clippy and for the fresh project.
pytestmark = [pytest.mark.toolchain("cargo"), pytest.mark.timeout(900)]

CLIENT = ROOT / "clients" / "rust"
ADDRESS = "127.0.0.1:50051"
README = blocks("clients/rust/README.md")
PROGRAMS = [block for block in README if block.language == "rust"]
STUBS = [f"src/generated/hfgateway.{package}.rs" for package in ("v1", "agents.v1alpha1")]
COMMANDS = [command for block in README for command in block.commands if command.startswith("cargo add ")]
# A new project reuses builds in the shared target directory only with the same profile.
PROFILE = {"CARGO_PROFILE_DEV_DEBUG": "0", "CARGO_INCREMENTAL": "0"}

KNOCK = """
use hfgateway_client::{Client, RetryPolicy, Tls};

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let tls = match &arguments[1..] {
        [authority] => Tls::authority(authority),
        [authority, certificate, key] => Tls::authority(authority).identity(certificate, key),
        other => panic!("{other:?}"),
    };
    let once = RetryPolicy { repeat_calls_for: Some(std::time::Duration::ZERO), ..Default::default() };
    let client = Client::builder(&arguments[0]).tls(tls).retry(once).build().expect("a client");
    let error = client.get("0198d7a0-0000-7000-8000-000000000000").await.expect_err("nothing there");
    println!("{:?} {}", error.kind(), error.retryable());
}
"""


def cargo(*arguments: str | Path, cwd: Path = CLIENT) -> str:
    """Run Cargo; return its output."""
    return run("cargo", *arguments, cwd=cwd, env={**PROFILE, "CARGO_TARGET_DIR": str(RUST_TARGET)})


def test_the_rust_tests_pass() -> None:
    output = cargo("test", "--locked", "--all-features", "--lib", "--test", "client")
    passed = re.findall(r"^test result: ok\. (\d+) passed; 0 failed; 0 ignored", output, re.MULTILINE)
    assert len(passed) == 2
    assert sum(map(int, passed)) > 30


def test_the_rust_linters_pass() -> None:
    assert cargo("fmt", "--check") == ""
    output = cargo("clippy", "--locked", "--all-features", "--all-targets", "--", "--deny=warnings")
    assert re.search(r"^ *Finished ", output, re.MULTILINE)


def test_the_rust_client_has_the_license_of_the_project() -> None:
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The crate as a registry would serve it, unpacked."""
    # Not verified by Cargo: the new project builds and runs it.
    cargo("package", "--locked", "--no-verify", "--allow-dirty", "--quiet")
    (packed,) = (RUST_TARGET / "package").glob("hfgateway-client-*.crate")
    folder = tmp_path_factory.mktemp("package")
    run("tar", "-xzf", str(packed), cwd=folder)
    packed.unlink()
    (unpacked,) = folder.iterdir()
    return unpacked


def test_the_rust_crate_contains_exactly_the_client(package: Path) -> None:
    version = (ROOT / "VERSION").read_text().strip()
    assert package.name == f"hfgateway-client-{version}"
    names = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    modules = {f"src/{path.name}" for path in (CLIENT / "src").glob("*.rs")}
    assert {"src/lib.rs", "src/client.rs"} <= modules
    assert names == {
        *modules, *STUBS, "Cargo.toml", "Cargo.toml.orig", "Cargo.lock",
        ".cargo_vcs_info.json", "README.md", "LICENSE",
    }  # fmt: skip
    for stubs in (package / name for name in STUBS):
        assert stubs.read_bytes() == (GENERATED / "rust" / "src" / stubs.name).read_bytes()


def test_the_rust_quickstart_is_short() -> None:
    assert PROGRAMS[0] == README[0]
    assert len(PROGRAMS[0].text.splitlines()) <= 15


@pytest.fixture(scope="module")
def project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project that depends on the package as the README describes."""
    folder = tmp_path_factory.mktemp("outside") / "fresh"
    folder.mkdir()
    cargo("init", "--quiet", "--lib", "--vcs", "none", cwd=folder)
    # Use the versions that the package was tested with, which are fetched by now.
    shutil.copy(package / "Cargo.lock", folder)
    # Unpack within the project, so that its builds keep their names and the shared directory does not grow. Copy with
    # new file times: all files of a package have the same old time, and Cargo would reuse builds of other packages.
    shutil.copytree(package, folder / "unpacked", copy_function=shutil.copyfile)
    assert len(COMMANDS) == 2
    for command in COMMANDS:
        added = command.replace("hfgateway/clients/rust", "unpacked").split()[1:]
        cargo(*added, "--offline", "--quiet", cwd=folder)
    (folder / "src" / "bin").mkdir()
    return folder


async def test_a_new_project_runs_the_rust_readme(project: Path, tmp_path: Path) -> None:
    async with (
        Sandbox(SandboxOptions(port=0, time_scale=20)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url) as gateway,
    ):
        for number, block in enumerate(PROGRAMS):
            text = block.text.replace(ADDRESS, gateway.address)
            (project / "src" / "bin" / f"readme{number}.rs").write_text(text)
        await asyncio.to_thread(cargo, "build", "--offline", "--quiet", "--bins", cwd=project)
        for number in range(len(PROGRAMS)):
            out = await output_of(RUST_TARGET / "debug" / f"readme{number}")
            assert len(sandbox.ledger.charges) == number + 1
            assert sandbox.ledger.charges[-1].request_id in out  # a part of the output's URL
            assert "COMPLETED" in out


@pytest.mark.toolchain("openssl")
async def test_the_rust_client_presents_its_certificate_and_checks_the_gateways(project: Path, tmp_path: Path) -> None:
    authority, clients = Authority.made(tmp_path), Authority.made(tmp_path, "clients")
    served, ours = authority.signed("gateway"), clients.signed("client")
    tls = {"tls_cert": str(served.cert), "tls_key": str(served.key), "tls_client_ca": str(clients.cert)}
    (project / "src" / "bin" / "knock.rs").write_text(KNOCK)
    await asyncio.to_thread(cargo, "build", "--offline", "--quiet", "--bin", "knock", cwd=project)
    knock = RUST_TARGET / "debug" / "knock"
    # The call needs no Higgsfield.
    async with GatewayProcess(tmp_path, "http://127.0.0.1:9", **tls) as gateway:
        assert await output_of(knock, gateway.address, authority.cert, ours.cert, ours.key) == "NotFound false\n"
        assert await output_of(knock, gateway.address, authority.cert) == "Unavailable true\n"
        # The client does not trust the gateway: a mistake, which is not retried.
        assert await output_of(knock, gateway.address, clients.cert) == "Unavailable false\n"


def test_the_rust_readme_is_formatted(tmp_path: Path) -> None:
    shutil.copy(CLIENT / "rustfmt.toml", tmp_path)
    for number, block in enumerate(PROGRAMS):
        (tmp_path / f"program{number}.rs").write_text(block.text)
    assert run("rustfmt", "--check", "--edition=2024", *sorted(tmp_path.glob("*.rs")), cwd=tmp_path) == ""
