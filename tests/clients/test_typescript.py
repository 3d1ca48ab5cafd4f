"""The TypeScript client: its tests and linters; its package and README, in a project outside the repository."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import tarfile
from pathlib import Path

import aiohttp
import pytest

from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.clients.programs import output_of
from tests.docs.markdown import ROOT, blocks, read
from tests.durability.process import GatewayProcess
from tests.support.addresses import free_address
from tools import typescript
from tools.generate import StepFailedError, run

pytestmark = [pytest.mark.timeout(600), pytest.mark.toolchain("node"), pytest.mark.toolchain("npm")]

README = "clients/typescript/README.md"
SNIPPETS = [block for block in blocks(README) if block.language == "ts"]
ADDRESS = "127.0.0.1:50051"


@pytest.fixture(scope="module")
def client() -> Path:
    """The folder of the built client."""
    return typescript.build_client()


def tool(client: Path, name: str) -> Path:
    return client / "node_modules" / ".bin" / name


def test_the_typescript_tests_pass(client: Path) -> None:
    sizes = run("node", "--test", "build/tests/", cwd=client)
    passed = re.search(r"^# pass (\d+)$", sizes, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 250


def test_the_typescript_linters_pass_and_find_a_floating_promise(client: Path, tmp_path: Path) -> None:
    run(tool(client, "biome"), "check", "--error-on-warnings", cwd=client)
    # Prove that the configuration is active: it finds a promise that is not awaited.
    shutil.copy(client / "biome.jsonc", tmp_path)
    (tmp_path / "wrong.ts").write_text("export async function wait() {}\nexport function go() {\n  wait();\n}\n")
    with pytest.raises(StepFailedError, match="noFloatingPromises"):
        run(tool(client, "biome"), "check", cwd=tmp_path)


def test_the_typescript_lock_file_contains_no_registry_urls() -> None:
    packages = json.loads((typescript.CLIENT / "package-lock.json").read_text())["packages"]
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []


def test_the_typescript_client_has_the_license_of_the_project() -> None:
    assert (typescript.CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


@pytest.fixture(scope="module")
def package(client: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that `npm pack` builds in a clone, from the sources and the stubs only."""
    root = tmp_path_factory.mktemp("clone")
    shutil.copytree(ROOT / "generated" / "typescript", root / "generated" / "typescript")
    clone = root / "clients" / "typescript"
    shutil.copytree(client, clone, ignore=shutil.ignore_patterns("node_modules", "dist", "build", "gen"))
    (clone / "node_modules").symlink_to(client / "node_modules")
    typescript.npm("pack", "--pack-destination", clone.parent, cwd=clone)
    (packed,) = clone.parent.glob("*.tgz")
    return packed


def test_the_npm_package_contains_exactly_the_client(package: Path) -> None:
    with tarfile.open(package) as tar:
        names = {member.name.removeprefix("package/") for member in tar.getmembers() if member.isfile()}
        assert [member.name for member in tar.getmembers() if member.issym() or member.islnk()] == []
    modules = {path.stem for path in (typescript.CLIENT / "src").glob("*.ts")}
    stubs = {path for folder in typescript.STUBS for path in folder.rglob("*") if path.is_file()}
    assert {"index", "browser", "stubs", "agents"} <= modules
    assert {"generation_service_pb.js", "agent_service_pb.js"} <= {path.name for path in stubs}
    assert names == {
        "package.json", "README.md", "LICENSE",
        *(f"dist/{module}.{kind}" for module in modules for kind in ("js", "d.ts")),
        *(f"dist/gen/{stub.relative_to(ROOT / 'generated' / 'typescript')}" for stub in stubs),
    }  # fmt: skip


@pytest.fixture(scope="module")
def project(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project with only the package installed."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
    flags = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
    typescript.npm("install", *flags, package, cwd=folder)
    return folder


@pytest.fixture
def node() -> dict[str, str]:
    """The environment for Node, without gateway settings and proxies."""
    dropped = ("HF_", "HFG_", "HFGATEWAY_", "NODE_OPTIONS")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(dropped)}
    return {name: text for name, text in kept.items() if not name.lower().endswith("_proxy")}


async def test_the_typescript_quickstart_generates(project: Path, node: dict[str, str], tmp_path: Path) -> None:
    quickstart = SNIPPETS[0].text
    assert len(quickstart.splitlines()) <= 6
    assert ADDRESS in quickstart
    async with (
        Sandbox(SandboxOptions(port=0, time_scale=20)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url) as gateway,
    ):
        program = project / "quickstart.js"
        program.write_text(quickstart.replace(ADDRESS, gateway.address))
        out = await output_of("node", program, cwd=project, env=node)
        (charge,) = sandbox.ledger.charges
    (line,) = out.splitlines()
    assert charge.request_id in line  # a part of the output's URL


async def test_the_backend_of_the_readme_serves_tokens_and_takes_uploads_of_pages(
    client: Path, project: Path, node: dict[str, str], tmp_path: Path
) -> None:
    (backend,) = (snippet.text for snippet in SNIPPETS if "createServer" in snippet.text)
    address = free_address()
    (project / "backend.ts").write_text(backend.replace("3000", address.rpartition(":")[2]))
    run(tool(client, "esbuild"), "backend.ts", "--outfile=backend.js", cwd=project)
    program = project / "page.js"
    program.write_text(
        f"""globalThis.userOf = () => "5";
        await import("./backend.js");
        for (const path of ["/watch-token", "/upload"]) {{
          const headers = {{ "content-type": "image/png" }};
          const answer = await fetch("http://{address}" + path, {{ method: "POST", headers, body: "media of a page" }});
          console.log(answer.ok, await answer.text());
        }}
        process.exit();"""
    )
    async with (
        Sandbox(SandboxOptions(port=0)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url) as gateway,
        aiohttp.ClientSession() as page,
    ):
        out = await output_of("node", program, cwd=project, env={**node, "HFGATEWAY_ADDRESS": gateway.address})
        (token_ok, token), (upload_ok, url) = (line.split() for line in out.splitlines())
        assert (token_ok, upload_ok) == ("true", "true")
        authorization = {"authorization": f"Bearer {token}"}
        listed = f"{gateway.http_address}/hfgateway.v1.GenerationService/ListGenerations"
        async with page.post(listed, json={}, headers=authorization) as answer:
            assert answer.status == 200
        async with page.get(url) as answer:
            assert await answer.text() == "media of a page"


def test_the_typescript_snippets_compile(client: Path, project: Path) -> None:
    pages = [snippet for snippet in SNIPPETS if '"@hfgateway/client/browser"' in snippet.text]
    assert (len(SNIPPETS), len(pages)) == (6, 2)
    programs = project / "snippets"
    programs.mkdir()
    compiler = tool(client, "tsc")
    strict = (
        "--strict",
        "--noUncheckedIndexedAccess",
        "--exactOptionalPropertyTypes",
        "--noEmit",
        "--target",
        "es2022",
        "--skipDefaultLibCheck",
    )
    for number, page in enumerate(pages):
        (programs / f"page{number}.ts").write_text(page.text)
    # A page has no types of Node, only the compiler's default libraries.
    run(compiler, *strict, "--module", "esnext", "--moduleResolution", "bundler", *programs.iterdir(), cwd=project)
    for number, snippet in enumerate(SNIPPETS):
        (programs / f"snippet{number}.ts").write_text(snippet.text)
    shutil.copytree(client / "node_modules" / "@types" / "node", project / "node_modules" / "@types" / "node")
    shutil.copytree(client / "node_modules" / "undici-types", project / "node_modules" / "undici-types")
    for_node = ("--module", "nodenext", "--types", "node")
    run(compiler, *strict, *for_node, *sorted(programs.iterdir()), cwd=project)
    # As the README says, the types of the dependencies need the DOM library in Node too.
    without_dom = (*for_node, "--lib", "es2023", programs / "snippet0.ts")
    run(compiler, *strict, *without_dom, "--skipLibCheck", cwd=project)
    with pytest.raises(StepFailedError, match="HeadersInit"):
        run(compiler, *strict, *without_dom, cwd=project)
    # It also says to name the types of Node, which this version of TypeScript no longer finds by itself.
    with pytest.raises(StepFailedError, match="node:tls"):
        run(compiler, *strict, "--module", "nodenext", programs / "snippet0.ts", cwd=project)
    wrong = programs / "wrong.ts"
    wrong.write_text(SNIPPETS[0].text.replace("address:", "adress:"))
    with pytest.raises(StepFailedError, match="adress"):
        run(compiler, *strict, *for_node, wrong, cwd=project)


@pytest.mark.parametrize("entry", ["@hfgateway/client/browser", "@hfgateway/client"])
def test_a_page_bundle_has_no_node_modules_and_the_documented_size(client: Path, project: Path, entry: str) -> None:
    page = project / "page.js"
    page.write_text(f'import {{ createClient, soul }} from "{entry}";\nglobalThis.page = [createClient, soul];\n')
    # For browsers, esbuild fails on an import of a Node module.
    flags = ("--bundle", "--minify", "--format=esm", "--platform=browser", "--target=es2022", "--metafile=meta.json")
    run(tool(client, "esbuild"), page, *flags, "--outfile=bundle.js", cwd=project)
    inputs = json.loads((project / "meta.json").read_text())["inputs"]
    assert [name for name in inputs if "connect-node" in name] == []
    bundle = (project / "bundle.js").read_bytes()
    sizes = re.search(r"loads\s+(\d+) kB for it, (\d+) kB gzipped", read(README))
    assert sizes is not None
    # The dependencies are locked, so the size hardly varies.
    assert len(bundle) / 1000 == pytest.approx(int(sizes[1]), rel=0.05)
    assert len(gzip.compress(bundle, 9)) / 1000 == pytest.approx(int(sizes[2]), rel=0.05)


def test_a_browser_bundler_refuses_the_node_entry(client: Path, project: Path) -> None:
    page = project / "wrong-page.js"
    page.write_text('export * from "./node_modules/@hfgateway/client/dist/index.js";\n')
    with pytest.raises(StepFailedError, match="Could not resolve"):
        run(tool(client, "esbuild"), page, "--bundle", "--platform=browser", "--outfile=wrong.js", cwd=project)
