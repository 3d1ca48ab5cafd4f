"""The documents whose commands are run by tests, and the reasons for commands that are not."""

RUN = frozenset({"README.md", "docs/adopt.md", "docs/command-line.md", "docs/v1.md", "clients/python/README.md"})
"""`test_readme.py` runs all shell and Python blocks of these, except the commands below."""

RUN_IN_ORDER = frozenset({"docs/operations.md"})
"""`test_operations.py` runs all shell blocks of these, in order."""

NOT_RUN = {
    "make demo": "runs `hfgateway demo`, as tests/cli/test_demo.py does",
    "make test": "runs this test",
    "make simulate SEEDS=1000": "runs `python -m tests.simulation`; tests/simulation does so with fewer seeds",
    "make simulate SEEDS=5000-9999": "the same",
    "make simulate-replicas SEEDS=100": "the same with `--replicas`; test_replicas.py does so with fewer seeds",
    "python -m tests.simulation --replicas --replay 11": "the same: test_replicas.py does it in its process",
    "python -m tests.simulation --replay 901": "tests/simulation/test_replay.py does the same in its process",
    "make chaos": "runs `python -m chaos`; tests/chaos does so for a shorter time",
    "make soak": "the same, for up to 20 minutes",
    "make soak-replicas MINUTES=2 GENERATIONS=2000 WATCHERS=200": "needs minutes; test_replicas.py kills leaders, too",
    'hfgateway keys create --tenant shop --name "order service"': "tests/access/test_keys.py runs the command",
    "hfgateway keys list": "the same",
    "docker build -f deploy/container/Containerfile -t hfgateway .": "`make container-check` builds it with Buildah",
    "docker compose -f deploy/compose/compose.yaml up --detach": (
        "needs images of a registry; tests/deploy checks the file, and `make container-check` runs the container"
    ),
    "docker compose -f deploy/compose/compose.yaml exec gateway hfgateway keys create --tenant shop": "the same",
    "docker compose -f deploy/compose/replicas.yaml up --detach": (
        "the same; tests/deploy/test_load_balancer.py runs its parts as processes"
    ),
    "docker compose -f deploy/compose/replicas.yaml exec gateway-1 hfgateway keys create --tenant shop": "the same",
    "hfgateway serve --production --workers 4": "tests/deploy/test_workers.py runs it with two workers",
    "kubectl apply -f secret.yaml": "needs a cluster; tests/deploy validates the manifests",
    "kubectl apply -k deploy/kubernetes": "the same",
    "kubectl rollout status deployment/hfgateway": "the same",
    "kubectl exec deployment/hfgateway -- hfgateway keys create --tenant shop": "the same",
    "python3 -m venv /opt/hfgateway": "writes to the system; the container is built by the same steps",
    "/opt/hfgateway/bin/pip install --require-hashes -r requirements/server.txt": "the same",
    "/opt/hfgateway/bin/pip install --no-deps ./generated/python ./clients/python .": "the same",
    "install -d -m 0700 /etc/hfgateway": "the same",
    "install -m 0600 /dev/null /etc/hfgateway/environment": "the same",
    "install -m 0644 deploy/systemd/hfgateway.service /etc/systemd/system": "the same",
    "systemctl daemon-reload": "needs systemd; tests/deploy checks the unit",
    "systemctl enable --now hfgateway": "the same",
    "export HFGATEWAY_STORE_URL=sqlite:////var/lib/hfgateway/hfgateway.db": "the same",
    "/opt/hfgateway/bin/hfgateway keys create --tenant shop": "the same",
    "hfgateway limits set --tenant shop --credits-per-day 100": "tests/admin/test_limits.py runs the command",
    "hfgateway limits set --tenant shop --key 3f6c1e9ab024 --in-flight 5": "the same",
    "hfgateway limits set --tenant shop --label team=films --credits-per-month 500 "
    "--models bytedance/,higgsfield-ai/": "the same",
    "hfgateway limits list": "the same",
    "hfgateway limits show --tenant shop": "the same",
    "hfgateway limits set --tenant shop --credits-per-day none": "the same",
    "hfgateway limits clear --tenant shop --label team=films": "the same",
    "hfgateway accounts new-key": "tests/accounts/test_command.py runs the command",
    "hfgateway accounts add films --file films.key": "the same",
    "hfgateway accounts add ads --file ads.key": "the same",
    "hfgateway accounts list --check": "the same",
    "hfgateway accounts assign --tenant shop --account films": "the same",
    "hfgateway accounts assign --tenant agency --account films=3 --account ads=1": "the same",
    "hfgateway accounts unassign --tenant shop": "the same",
    "hfgateway accounts add own --tenant shop --file shop.key": "the same",
    "hfgateway accounts assign --tenant shop --account own": "the same",
    "hfgateway accounts rotate films --file films.key": "the same",
    "hfgateway accounts list": "the same",
    "hfgateway accounts remove films --old": "the same",
    "hfgateway usage --since 30d --by day --by tenant": "tests/admin/test_usage.py runs the command",
    "cd clients/typescript && npm ci && npm pack --pack-destination build": (
        "tests/clients/test_typescript.py packs and installs it"
    ),
    "make page": "CI checks that the served files are up to date",
    "ghz --insecure --call hfgateway.v1.GenerationService/ListGenerations --data '{}'    "
    "--total 2000 --concurrency 50 127.0.0.1:50051": ("tests/conformance/test_grpc_tools.py runs the same command"),
    'hfgateway agents ask "a poster for a jazz night"': "tests/cli/test_agents.py runs the command",
    "hfgateway callbacks create https://shop.example/hooks/higgsfield --label team=red": (
        "tests/callbacks/test_command.py runs the command"
    ),
    "hfgateway callbacks create": "the same",
    'hfgateway generate "a lighthouse" --callback-url "https://shop.example/hooks/higgsfield?order=7"': (
        "tests/cli/test_generate.py runs the command"
    ),
    "hfgateway callbacks test 01a1f995-33a9-7975-b0a6-839650fe2c62": "the same",
    "hfgateway callbacks deliveries 01a1f995-33a9-7975-b0a6-839650fe2c62 --failed": "the same",
    "hfgateway upload start.png": "tests/cli/test_upload.py runs the command",
    'hfgateway generate --dop --image start.png "slow push in"': "the same",
    "make release-check FINAL=1": "runs tools/release.py; tests/tooling/test_packages.py does so for Python",
    "make setup": "installed what runs this test",
    ". .venv/bin/activate": "puts the commands on the PATH, as test_readme.py does",
    "make format": "rewrites files",
    "make lint": "is a separate step in CI",
    "go get github.com/hfgateway/hfgateway/clients/go@latest": "tests/clients/test_go.py runs it with a local release",
    "go mod edit -replace=github.com/hfgateway/hfgateway/clients/go=./hfgateway/clients/go": "the same, in a checkout",
    "go mod edit -replace=github.com/hfgateway/hfgateway/generated/go=./hfgateway/generated/go": "the same",
    "go mod tidy": "the same",
    "pip install ./generated/python ./clients/python": "installs; `make setup` installs the same folders",
    "cd clients/java && mvn install -DskipTests": "tests/clients/test_java.py runs it with an empty Maven repository",
    "cd clients/java && mvn generate-sources": "`make check-generated` does the same",
    "cd examples/kotlin && mvn --quiet compile exec:java": "tests/clients/test_sixth_language.py runs it",
    "buf generate": "the same",
    "cargo add hfgateway-client --path hfgateway/clients/rust": "tests/clients/test_rust.py runs it with the package",
    "cargo add tokio --features macros,rt-multi-thread": "the same",
}
"""For each other command: why no test of the documents runs it."""
