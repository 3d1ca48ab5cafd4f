"""The shipped files are valid by the validators of their formats, and agree with the gateway's settings and ports."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.higgsfield.credentials import read_credentials
from gateway.process import production
from gateway.settings import config
from tests.app.certificates import Authority, Pair
from tools import generate
from tools.deployment import read_yaml, tools

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = sorted((DEPLOY / "compose").glob("*.yaml"))
KUBERNETES = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
CONTAINERFILE = (DEPLOY / "container" / "Containerfile").read_text()
VARIABLE = re.compile(r"\$\{(\w+)(?::[-?][^}]*)?\}")
GIVEN = {"HF_KEY": "id:secret", "POSTGRES_PASSWORD": "secret", "HFGATEWAY_PUBLIC_URL": ""}
"""The file .env of the tests."""
DEFAULTS = config.read_settings({"HFGATEWAY_STORE_URL": "sqlite:////store.db"})


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return Authority.made(tmp_path_factory.mktemp("tls")).signed("gateway")


def unsafe(environment: Mapping[str, str], tls: Pair) -> list[str]:
    """Return what is wrong with an environment: unknown settings, and those that --production refuses."""
    mounted = {"/etc/hfgateway/tls/tls.crt": str(tls.cert), "/etc/hfgateway/tls/tls.key": str(tls.key)}
    present = {name: mounted.get(text, text) for name, text in environment.items()}
    settings = config.read_settings(present)
    return [*settings.warnings, *production.unsafe(settings, read_credentials(present), present, None)]


def gateways(compose: Any) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Yield the command and the environment of each gateway of a compose file."""
    for name, service in compose["services"].items():
        if name.startswith("gateway"):
            environment = {
                key: VARIABLE.sub(lambda match: GIVEN[match[1]], str(text))
                for key, text in service["environment"].items()
            }
            yield service.get("command", ["serve", "--production"]), environment


def test_compose_files_are_valid() -> None:
    generate.run(tools() / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", *COMPOSE)


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.stem)
def test_the_gateways_of_a_compose_file_have_safe_settings(path: Path, tls: Pair) -> None:
    (compose,) = read_yaml(path)
    found = list(gateways(compose))
    assert found
    for command, environment in found:
        trial = command == ["serve"]
        assert trial or command == ["serve", "--production"]
        refused = unsafe(environment, tls)
        assert bool(refused) == trial, refused
    for name, service in compose["services"].items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name.startswith("gateway"):
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert int(service["stop_grace_period"].removesuffix("s")) > DEFAULTS.drain, name


def test_the_balancer_has_the_addresses_of_the_gateways() -> None:
    (compose,) = read_yaml(DEPLOY / "compose" / "replicas.yaml")
    balancer = (DEPLOY / "compose" / "haproxy.cfg").read_text()
    listening = {
        (name, environment[f"HFGATEWAY_{port}_ADDRESS"])
        for name, (_, environment) in zip(
            (name for name in compose["services"] if name.startswith("gateway")), gateways(compose), strict=True
        )
        for port in ("GRPC", "HTTP")
    }
    assert set(re.findall(r"server (gateway-\d) (\S+)", balancer)) == listening
    for name, address in listening:
        assert address.startswith(compose["services"][name]["networks"]["gateways"]["ipv4_address"])


def test_kubernetes_manifests_are_valid() -> None:
    generate.run(tools() / "kubernetes-validate", "--strict", *KUBERNETES)


def test_every_kubernetes_manifest_is_applied() -> None:
    (kustomization,) = read_yaml(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert {DEPLOY / "kubernetes" / name for name in kustomization["resources"]} == set(KUBERNETES)
    assert [image["newTag"] for image in kustomization["images"]] == [(ROOT / "VERSION").read_text().strip()]


@pytest.mark.parametrize("pod_ip", ["10.1.2.3", "fd00::5"])
def test_the_deployment_agrees_with_the_gateway(tls: Pair, pod_ip: str) -> None:
    (deployment,) = read_yaml(DEPLOY / "kubernetes" / "deployment.yaml")
    assert deployment["spec"]["minReadySeconds"] > 0  # until Higgsfield has answered whether it accepts the credentials
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {
        variable["name"]: variable.get("value", "").replace("$(POD_IP)", pod_ip) for variable in container["env"]
    }
    environment |= {
        "HFGATEWAY_STORE_URL": "postgresql://gateway:secret@db.example.com/gateway?sslmode=verify-full",
        "HF_KEY": "id:secret",
    }
    del environment["HF_KEY_FILE"]
    assert unsafe(environment, tls) == []
    settings = config.read_settings(environment)
    assert (settings.grpc_address.host, settings.http_address.host) == (pod_ip, pod_ip)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": settings.grpc_address.port, "http": settings.http_address.port}
    probes = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/healthz", "readiness": "/readyz", "liveness": "/healthz"}
    serves_on = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > serves_on + settings.drain
    assert str(pod["securityContext"]["runAsUser"]) in CONTAINERFILE
    (service,) = read_yaml(DEPLOY / "kubernetes" / "services.yaml")
    assert {port["targetPort"]: port["port"] for port in service["spec"]["ports"]} == ports


@pytest.mark.parametrize(
    ("address", "ports"),
    [
        ("93.184.215.14", {443, 8443}),
        ("2606:4700::1111", {443, 8443}),
        ("10.0.0.7", {5432}),
        ("fd00::7", {5432}),
        ("169.254.169.254", set()),
        ("100.100.100.200", set()),
        ("fe80::1", set()),
        ("fd00:ec2::254", {5432}),
    ],
)
def test_the_network_policy_allows_public_https_and_private_databases(address: str, ports: set[int]) -> None:
    (policy,) = read_yaml(DEPLOY / "kubernetes" / "network-policy.yaml")
    allowed = {
        port["port"]
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if (block := peer.get("ipBlock")) and _contains(block["cidr"], address)
        if not any(_contains(network, address) for network in block.get("except", ()))
        for port in rule["ports"]
    }
    assert allowed == ports


def _contains(network: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(network)


def test_the_container_file_passes_its_linter_and_has_the_ports() -> None:
    generate.run(tools() / "hadolint", DEPLOY / "container" / "Containerfile")
    exposed = re.search(r"^EXPOSE (.+)$", CONTAINERFILE, re.MULTILINE)
    assert exposed is not None
    assert list(map(int, exposed[1].split())) == [DEFAULTS.grpc_address.port, DEFAULTS.http_address.port]
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
        for source in line.split()
    }
    assert [source for source in copied if not (ROOT / source).exists()] == []


@pytest.mark.toolchain("systemd-analyze")
def test_the_unit_is_valid_confined_and_runs_the_gateway(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / "hfgateway.service").read_text()
    command = "/opt/hfgateway/bin/hfgateway serve --production"
    assert f"ExecStart={command}\n" in text
    # The program must exist on this machine.
    unit = tmp_path / "hfgateway.service"
    unit.write_text(text.replace(command, "/bin/true"))
    assert generate.run("systemd-analyze", "verify", "--man=no", unit) == ""
    generate.run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    # A full disk and wrong settings have the same exit code, so systemd must try again after every failure.
    assert ("RestartPreventExitStatus" in text, "\nStartLimitIntervalSec=0\n" in text) == (False, True)
    assert "\nRestartForceExitStatus=SIGHUP\n" in text
    # A private /tmp would hide the operator's socket from commands outside of the unit.
    cache = re.search(r"^CacheDirectory=(.+)$", text, re.MULTILINE)
    assert cache is not None
    assert f"\nEnvironment=TMPDIR=/var/cache/{cache[1]}\n" in text
    # On PostgreSQL, the address of the socket would be in a home that the user of the unit does not have.
    state = re.search(r"^StateDirectory=(.+)$", text, re.MULTILINE)
    assert state is not None
    assert f"\nEnvironment=XDG_DATA_HOME=/var/lib/{state[1]}\n" in text
    stop = re.search(r"^TimeoutStopSec=(\d+)s$", text, re.MULTILINE)
    assert stop is not None
    assert int(stop[1]) > DEFAULTS.drain
