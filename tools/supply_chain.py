"""`make audit` and `make sbom`: known vulnerabilities of the locked dependencies, and their lists in CycloneDX.

Audits ask databases on the internet: pip-audit that of PyPI, npm its registry, osv-scanner osv.dev. An audit that
cannot reach its database, or whose tool is not installed, is reported as not done; with CI=true that is a failure.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.deployment import tools
from tools.generate import ROOT

SBOM = ROOT / "dist" / "sbom"
LOCKS = {
    "python": sorted((ROOT / "requirements").glob("*.txt")),
    "typescript": [ROOT / "clients" / "typescript" / "package-lock.json"],
    "go": [ROOT / "clients" / "go" / "go.mod", ROOT / "generated" / "go" / "go.mod"],
    "rust": [ROOT / "clients" / "rust" / "Cargo.lock"],
    "java": [ROOT / "clients" / "java" / "pom.xml"],
}


@dataclass(frozen=True)
class Outcome:
    """What became of one audit: whether it was done, whether it found something, and its output."""

    done: bool
    vulnerable: bool
    output: str


Judge = Callable[[subprocess.CompletedProcess[str]], Outcome]


def by_exit_code(done: subprocess.CompletedProcess[str]) -> Outcome:
    """Judge osv-scanner: 0 is clean, 1 is vulnerable, anything else is an error."""
    return Outcome(done.returncode in {0, 1}, done.returncode == 1, done.stdout + done.stderr)


def by_json(done: subprocess.CompletedProcess[str]) -> Outcome:
    """Judge npm audit, whose exit code does not tell an error from a vulnerability."""
    try:
        found = json.loads(done.stdout)["metadata"]["vulnerabilities"]["total"]
    except (ValueError, KeyError):
        return Outcome(False, False, done.stdout + done.stderr)
    return Outcome(True, bool(found), done.stdout)


def by_text(done: subprocess.CompletedProcess[str]) -> Outcome:
    """Judge pip-audit, for the same reason."""
    output = done.stdout + done.stderr
    clean, vulnerable = "No known vulnerabilities found" in output, "known vulnerabilit" in output
    unknown = "could not be audited" in output
    return Outcome((clean or vulnerable) and not unknown, vulnerable and not clean, output)


def audit() -> int:
    """Audit every language; return the exit code."""
    failed = False
    for language, locks in LOCKS.items():
        for lock in locks:
            program, *arguments = audit_command(language, lock)
            outcome = Outcome(False, False, f"{program} is not installed")
            if shutil.which(program):
                judge: Judge = {"python": by_text, "typescript": by_json}.get(language, by_exit_code)
                outcome = judge(call(program, *arguments, cwd=lock.parent))
            name = lock.relative_to(ROOT)
            if not outcome.done:
                last = (outcome.output.strip().splitlines() or ["no output"])[-1]
                print(f"!!! NOT AUDITED: {name}: {last}", file=sys.stderr)
                failed |= os.environ.get("CI") == "true"
            elif outcome.vulnerable:
                print(f"VULNERABLE: {name}\n{outcome.output}", file=sys.stderr)
                failed = True
            else:
                print(f"audit: {name}: no known vulnerabilities")
    return int(failed)


def audit_command(language: str, lock: Path) -> list[str]:
    """Return the command that audits a lock file."""
    if language == "python":
        options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off", "--strict"]
        return [str(tools() / "pip-audit"), *options, "--requirement", str(lock)]
    if language == "typescript":
        return ["npm", "audit", "--json", "--package-lock-only"]
    return ["osv-scanner", "scan", "source", "--lockfile", str(lock)]


def sbom() -> int:
    """Write a list for each language whose tool is installed; return the exit code."""
    SBOM.mkdir(parents=True, exist_ok=True)
    rust = crates(LOCKS["rust"][0])
    (SBOM / "rust.cdx.json").write_text(bom(rust))
    print(f"sbom: dist/sbom/rust.cdx.json: {len(rust)} components")
    missing = False
    for language, (program, *arguments) in sbom_commands().items():
        target = SBOM / f"{language}.cdx.json"
        target.unlink(missing_ok=True)
        if shutil.which(program) is None:
            print(f"!!! NOT WRITTEN: {target.name}: {program} is not installed", file=sys.stderr)
            missing = True
            continue
        done = call(program, *arguments, cwd=LOCKS[language][0].parent)
        if language in LISTED and done.returncode == 0:
            target.write_text(LISTED[language](done.stdout))
        if done.returncode or not target.exists():
            print(f"!!! NOT WRITTEN: {target.name}: {done.stdout}{done.stderr}", file=sys.stderr)
            missing = True
            continue
        print(f"sbom: {target.relative_to(ROOT)}: {len(json.loads(target.read_text())['components'])} components")
    return int(missing and os.environ.get("CI") == "true")


def sbom_commands() -> dict[str, list[str]]:
    """Return the command for each language but Rust, whose lock file has everything.

    They write dist/sbom/LANGUAGE.cdx.json, except those of LISTED, which print what goes into it.
    """
    server, project = ROOT / "requirements" / "server.txt", ROOT / "pyproject.toml"
    plugin = "org.cyclonedx:cyclonedx-maven-plugin:2.9.1:makeBom"
    written = {language: str(SBOM / f"{language}.cdx.json") for language in LOCKS}
    return {
        "python": [
            str(tools() / "cyclonedx-py"), "requirements", str(server), "--pyproject", str(project),
            "--output-reproducible", "--output-file", written["python"],
        ],
        "typescript": ["npm", "sbom", "--sbom-format", "cyclonedx", "--package-lock-only", "--omit", "dev"],
        "go": ["go", "list", "-m", "-json", "all"],
        "java": [
            "mvn", "--batch-mode", "--quiet", plugin, "-DoutputFormat=json", f"-DoutputDirectory={SBOM}",
            "-DoutputName=java.cdx",
        ],
    }  # fmt: skip


def crates(lock: Path) -> list[dict[str, object]]:
    """Return the components in a Cargo.lock."""
    return [
        component("cargo", crate["name"], crate["version"], sha256=crate["checksum"])
        for crate in tomllib.loads(lock.read_text())["package"]
        if "checksum" in crate
    ]


def modules(printed: str) -> list[dict[str, object]]:
    """Return the components in the output of `go list -m -json all`: one JSON object after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(printed):
        module, end = decoder.raw_decode(printed, at)
        at = end + 1  # a newline follows
        if "Version" in module and "Replace" not in module:
            found.append(component("golang", module["Path"], module["Version"]))
    return found


def component(ecosystem: str, name: str, version: str, *, sha256: str = "") -> dict[str, object]:
    """Return a component of a CycloneDX document."""
    found: dict[str, object] = {"type": "library", "name": name, "version": version}
    found["purl"] = f"pkg:{ecosystem}/{name}@{version}"
    return found | ({"hashes": [{"alg": "SHA-256", "content": sha256}]} if sha256 else {})


def bom(components: list[dict[str, object]]) -> str:
    """Return a CycloneDX document."""
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components})


LISTED: dict[str, Callable[[str], str]] = {"typescript": str, "go": lambda printed: bom(modules(printed))}


def call(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code."""
    return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit({"audit": audit, "sbom": sbom}[sys.argv[1]]())
