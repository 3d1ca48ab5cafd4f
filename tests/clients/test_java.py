"""The Java client: its tests and compiler warnings; its artifact and README, in a project outside the repository."""

from __future__ import annotations

import asyncio
import importlib
import os
import pkgutil
import re
import shutil
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

import hfgateway.agents.v1alpha1
import hfgateway.v1
from gateway.sandbox.server import Sandbox, SandboxOptions
from tests.clients.programs import output_of
from tests.docs.markdown import Block, blocks
from tests.durability.process import GatewayProcess
from tools.generate import ROOT, python_tools, run
from tools.maven import CLIENT, MAVEN_REPOSITORY, exclusive_build, mvn, write_arguments

# The first run on a machine fetches Maven's plugins.
pytestmark = [pytest.mark.toolchain("mvn"), pytest.mark.timeout(900)]

ADDRESS = "127.0.0.1:50051"
VERSION = (ROOT / "VERSION").read_text().strip()
README = blocks("clients/java/README.md")
PROGRAMS = [block for block in README if block.language == "java"]
(DEPENDENCY,) = (block.text for block in README if block.language == "xml")
(INSTALL,) = (command for block in README for command in block.commands if "mvn install" in command)
POM = (CLIENT / "pom.xml").read_text()
COMPILED = ("-Dprotobuf.skip=true", "-Dmaven.main.skip=true", "-Dmaven.test.skip=true")
"""Steps that an installation leaves out after a build."""
PINNED = dict(re.findall(r"<(\w+)\.version>([\d.]+)<", POM))


def name_of(block: Block) -> str:
    """Return the class that a block of the README declares."""
    found = re.search(r"^public class (\w+)", block.text, re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A local Maven repository, used offline, into which the client was tested, packed and installed."""
    farm = tmp_path_factory.mktemp("m2")
    with exclusive_build():
        # Link all packages that Maven has fetched; installed files stay in this folder.
        ours = shutil.ignore_patterns("hfgateway")
        shutil.copytree(MAVEN_REPOSITORY, farm, ignore=ours, copy_function=os.symlink, dirs_exist_ok=True)
        shutil.rmtree(CLIENT / "target" / "surefire-reports", ignore_errors=True)
        for jar in (CLIENT / "target").glob("*.jar"):
            jar.unlink()
        # Tested and packed with the repository that all builds use: with another one, Maven compiles everything again.
        mvn("verify")
        mvn("install", *COMPILED, repository=farm)
        write_arguments()
    return farm


def artifact(repository: Path, suffix: str) -> Path:
    """Return the path of a file of the release."""
    return repository / "io/github/hfgateway/hfgateway-client" / VERSION / f"hfgateway-client-{VERSION}{suffix}"


def test_the_java_tests_pass(repository: Path) -> None:
    reports = [ElementTree.parse(path).getroot() for path in (CLIENT / "target" / "surefire-reports").glob("*.xml")]
    passed = {str(report.get("name")).rpartition(".")[2]: int(str(report.get("tests"))) for report in reports}
    assert set(passed) == {path.stem for path in (CLIENT / "src" / "test").rglob("*Test.java")}
    # Each vector is a test.
    assert sum(passed.values()) > 150
    assert [report.get(kind) for report in reports for kind in ("failures", "errors", "skipped")] == ["0"] * 3 * len(
        reports
    )


def test_java_compiler_warnings_are_errors() -> None:
    assert "<failOnWarning>true</failOnWarning>" in POM
    assert "<arg>-Xlint:all</arg>" in POM


def test_the_java_stubs_are_generated_by_the_common_protoc() -> None:
    protoc = run(python_tools() / "python", "-m", "grpc_tools.protoc", "--version").split()[-1]
    # Java's protobuf puts its own major version before protoc's.
    assert PINNED["protoc"] == f"4.{protoc}"


def test_the_java_runtime_is_not_older_than_protoc() -> None:
    protobuf, protoc = (tuple(map(int, PINNED[name].split("."))) for name in ("protobuf", "protoc"))
    assert protobuf >= protoc


def test_the_java_client_has_the_license_of_the_project() -> None:
    assert (CLIENT / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def stubs_of(package: ModuleType) -> set[str]:
    """Return the classes that protoc and its gRPC plugin generate for a package, as paths without a suffix."""
    found = set()
    for module in pkgutil.iter_modules(package.__path__):
        file = importlib.import_module(f"{package.__name__}.{module.name}").__dict__.get("DESCRIPTOR")
        if file is None:  # a module of gRPC stubs
            continue
        options = file.GetOptions()
        names = [options.java_outer_classname, *file.enum_types_by_name]
        names += [f"{name}{suffix}" for name in file.message_types_by_name for suffix in ("", "OrBuilder")]
        names += [f"{name}Grpc" for name in file.services_by_name]
        found |= {f"{options.java_package.replace('.', '/')}/{name}" for name in names}
    return found


def test_the_java_artifact_contains_exactly_the_client(repository: Path) -> None:
    with zipfile.ZipFile(artifact(repository, ".jar")) as jar:
        classes = {name.partition("$")[0].removesuffix(".class") for name in jar.namelist() if name.endswith(".class")}
        others = {name for name in jar.namelist() if not name.endswith((".class", "/"))}
        manifest = jar.read("META-INF/MANIFEST.MF").decode()
    sources = [CLIENT / "src" / folder / "java" for folder in ("main", "generated")]
    wanted = {
        path.relative_to(source).with_suffix("").as_posix() for source in sources for path in source.rglob("*.java")
    }
    wanted |= stubs_of(hfgateway.v1) | stubs_of(hfgateway.agents.v1alpha1)
    assert {
        "io/github/hfgateway/v1/GenerationServiceGrpc",
        "io/github/hfgateway/agents/v1alpha1/AgentServiceGrpc",
    } <= wanted
    assert classes == wanted
    maven = "META-INF/maven/io.github.hfgateway/hfgateway-client"
    assert others == {
        "META-INF/MANIFEST.MF", "META-INF/LICENSE", f"{maven}/pom.xml", f"{maven}/pom.properties",
    }  # fmt: skip
    assert "Automatic-Module-Name: io.github.hfgateway.client\r\n" in manifest
    with zipfile.ZipFile(artifact(repository, "-sources.jar")) as jar:
        assert {name.removesuffix(".java") for name in jar.namelist() if name.endswith(".java")} == wanted


def test_500_asynchronous_watches_share_a_few_threads(repository: Path) -> None:
    program = ("java", "@target/behaviours.args", "io.github.hfgateway.behaviours.ManyWatches")
    out = run(sys.executable, "-m", "tests.clients.harness", f"--in={CLIENT}", *program)
    threads = re.search(r"^(\d+) threads$", out, re.MULTILINE)
    assert threads is not None, out
    assert int(threads[1]) < 50


def test_the_java_quickstart_is_short() -> None:
    assert PROGRAMS[0] == README[0]
    assert len(PROGRAMS[0].text.splitlines()) <= 15


def pinned(name: str) -> str:
    """Return the version of a Maven plugin in the client's pom, which is fetched by now."""
    found = re.search(rf"<artifactId>maven-{name}-plugin</artifactId>\s*<version>(.+)</version>", POM)
    assert found is not None
    return found[1]


def project_of(folder: Path, dependency: str) -> str:
    """Return a pom with the dependency, in which everything else is fetched by now."""
    plugins = "".join(
        f"<plugin><artifactId>maven-{name}-plugin</artifactId><version>{pinned(name)}</version></plugin>"
        for name in ("resources", "compiler", "dependency")
    )
    return f"""<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>invalid.example</groupId>
  <artifactId>{folder.name}</artifactId>
  <version>1</version>
  <properties>
    <maven.compiler.release>17</maven.compiler.release>
    <project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
  </properties>
  <dependencies>{dependency}</dependencies>
  <build><plugins>{plugins}</plugins></build>
</project>
"""


async def test_a_new_project_runs_the_java_readme(repository: Path, tmp_path: Path) -> None:
    assert INSTALL == "cd clients/java && mvn install -DskipTests"  # the command that made the repository
    project = tmp_path / "fresh"
    sources = project / "src" / "main" / "java"
    sources.mkdir(parents=True)
    (project / "pom.xml").write_text(project_of(project, DEPENDENCY))
    async with (
        Sandbox(SandboxOptions(port=0, time_scale=20)) as sandbox,
        GatewayProcess(tmp_path, sandbox.url) as gateway,
    ):
        for block in PROGRAMS:
            assert ADDRESS in block.text
            (sources / f"{name_of(block)}.java").write_text(block.text.replace(ADDRESS, gateway.address))
        goals = ("compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath")
        await asyncio.to_thread(mvn, "--quiet", *goals, cwd=project, repository=repository)
        classpath = f"target/classes{os.pathsep}{(project / 'classpath').read_text()}"
        assert str(artifact(repository, ".jar")) in classpath
        charged = 0
        for block in PROGRAMS:
            out = await output_of("java", "-XX:TieredStopAtLevel=1", "-cp", classpath, name_of(block), cwd=project)
            charges, charged = sandbox.ledger.charges[charged:], len(sandbox.ledger.charges)
            assert len(charges) == (2 if name_of(block) == "Pair" else 1)
            assert all(charge.request_id in out for charge in charges)  # a part of the output's URL
            assert "COMPLETED" in out
