"""The manifests fit their schemas, each other, and the code."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.autoscale_cluster import METRICS
from bench.autoscale_hpa import Behavior
from extproc.domain.request.admission import Admission
from extproc.metrics.requests import AdmissionCollector
from extproc.settings import Settings
from tests.deploy.manifests import DEPLOY, RENDERED, Manifest, chosen, containers, of_kind, pods, ports, render
from tests.harness.processes import ROOT

VERSIONS = ("1.31", "1.32", "1.33", "1.34")
WITHOUT_SCHEMA = {"ServiceMonitor", "PrometheusRule", "HTTPRoute", "ScaledObject"}
UTILIZATION = "zai_proxy_worker_utilization_ratio"

every_rendering = pytest.mark.parametrize("name", RENDERED)


@pytest.mark.slow
@pytest.mark.parametrize("version", VERSIONS)
@every_rendering
def test_every_object_fits_its_schema(name: str, version: str) -> None:
    import kubernetes_validate  # takes seconds, which each process that collects tests would pay

    for each in render(name):
        try:
            kubernetes_validate.validate(each, version, strict=True)
        except kubernetes_validate.SchemaNotFoundError:
            assert each["kind"] in WITHOUT_SCHEMA


@pytest.mark.slow
@every_rendering
def test_the_service_monitor_survives_its_typed_model(name: str) -> None:
    from cloudcoil.models.prometheus_operator.v1 import ServiceMonitor  # takes as long as the schemas

    for each in of_kind(render(name), "ServiceMonitor").values():
        typed = ServiceMonitor.model_validate(each)
        assert typed.model_dump(mode="json", by_alias=True, exclude_unset=True) == each


@every_rendering
def test_selectors_choose_pods_and_ports_by_name_exist(name: str) -> None:
    manifests = [*render(name), *render("base")]
    for service in of_kind(manifests, "Service").values():
        chosen_pods = chosen(service["spec"]["selector"], manifests)
        assert chosen_pods, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert all(port["targetPort"] in ports(pod) for pod in chosen_pods)
    for kind in ("NetworkPolicy", "PodDisruptionBudget"):
        for each in of_kind(manifests, kind).values():
            labels = each["spec"].get("podSelector") or each["spec"]["selector"]
            assert chosen(labels["matchLabels"], manifests), each["metadata"]["name"]


def test_the_service_monitor_reads_the_headless_service() -> None:
    manifests = render("base")
    spec = of_kind(manifests, "ServiceMonitor")["zai-proxy"]["spec"]
    wanted = spec["selector"]["matchLabels"]
    services = [
        each
        for each in of_kind(manifests, "Service").values()
        if wanted.items() <= each["metadata"].get("labels", {}).items()
    ]
    assert [each["metadata"]["name"] for each in services] == ["zai-proxy-metrics"]
    assert services[0]["spec"]["clusterIP"] == "None"
    assert {port["name"] for port in services[0]["spec"]["ports"]} == {each["port"] for each in spec["endpoints"]}
    assert spec["endpoints"][0]["interval"] == "15s"


@every_rendering
def test_ports_and_settings_are_those_of_the_code(name: str, tmp_path: Path) -> None:
    manifests = render(name)
    mounted = tmp_path / "mounted"
    mounted.touch()
    for each in of_kind(manifests, "ConfigMap").values():
        assert {key.lower() for key in each["data"]} <= set(Settings.model_fields)
        of_files = {key: str(mounted) for key in each["data"] if key.endswith("_FILE")}
        Settings.model_validate({key.lower(): value for key, value in {**each["data"], **of_files}.items()})
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    for each_name, pod in pods(manifests).items():
        if each_name.startswith("zai-proxy") and "extproc" in containers(pod):
            assert ports(pod) == {"http": defaults["proxy_port"], "metrics": defaults["metrics_port"]}


@every_rendering
def test_every_pod_is_restricted_and_has_no_token(name: str) -> None:
    for pod in pods(render(name)).values():
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in containers(pod).values():
            context = each["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


def _proxy() -> tuple[Manifest, dict[str, str]]:
    manifests = render("base")
    settings: dict[str, str] = of_kind(manifests, "ConfigMap")["zai-proxy"]["data"]
    return pods(manifests)["zai-proxy"], settings


def test_the_processor_is_a_native_sidecar_on_the_socket_that_envoy_sees() -> None:
    pod, settings = _proxy()
    assert containers(pod)["extproc"]["restartPolicy"] == "Always"
    assert [each["name"] for each in pod["spec"]["containers"]] == ["envoy"]
    for name in ("bootstrap", "extproc", "envoy"):
        mounts = [each["mountPath"] for each in containers(pod)[name]["volumeMounts"]]
        assert any(settings["EXTPROC_SOCKET"].startswith(f"{mount}/") for mount in mounts)
    shared = next(each for each in pod["spec"]["volumes"] if each["name"] == "shared")
    assert shared["emptyDir"]["medium"] == "Memory"


def test_only_the_processor_sees_the_key() -> None:
    pod, settings = _proxy()
    key = next(each for each in pod["spec"]["volumes"] if each["name"] == "key")["secret"]
    assert (key["secretName"], key["items"]) == ("zai-api-key", [{"key": "api-key", "path": "api-key"}])
    seers = [
        name for name, each in containers(pod).items() if any(mount["name"] == "key" for mount in each["volumeMounts"])
    ]
    assert seers == ["extproc"]
    assert settings["ZAI_API_KEY_FILE"] == "/var/run/secrets/zai-proxy/api-key"


def test_the_grace_period_outlasts_the_longest_stream() -> None:
    pod, settings = _proxy()
    assert float(settings["MAX_STREAM_DURATION"]) <= float(settings["DRAIN_TIMEOUT"])
    assert float(settings["DRAIN_TIMEOUT"]) + 30 <= pod["spec"]["terminationGracePeriodSeconds"]


def test_the_hpa_the_adapter_and_keda_speak_of_a_metric_that_the_proxy_exports() -> None:
    exported = {each.name for each in AdmissionCollector(Admission(max_workers=1).snapshot).collect()}
    assert UTILIZATION in exported
    pod_metrics = [each["pods"] for each in _hpa()["metrics"] if each["type"] == "Pods"]
    assert [each["metric"]["name"] for each in pod_metrics] == [UTILIZATION]
    assert pod_metrics[0]["target"] == {"type": "AverageValue", "averageValue": "800m"}
    rule = yaml.safe_load((DEPLOY / "adapter/values.yaml").read_text())["rules"]["custom"][0]
    assert rule["name"]["as"] == UTILIZATION
    assert rule["seriesQuery"].startswith(UTILIZATION + "{")
    assert "[2m]" in rule["metricsQuery"]
    triggers = of_kind(render("overlays/keda"), "ScaledObject")["zai-proxy"]["spec"]["triggers"]
    assert UTILIZATION in triggers[-1]["metadata"]["query"]


def _hpa() -> dict[str, Any]:
    spec: dict[str, Any] = of_kind(render("base"), "HorizontalPodAutoscaler")["zai-proxy"]["spec"]
    return spec


def test_the_hpa_scales_as_promised() -> None:
    spec = _hpa()
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 5)
    resources = {
        each["resource"]["name"]: each["resource"]["target"]["averageUtilization"]
        for each in spec["metrics"]
        if each["type"] == "Resource"
    }
    assert resources == {"cpu": 70, "memory": 80}
    up, down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
    assert (up["stabilizationWindowSeconds"], up["selectPolicy"]) == (30, "Max")
    assert {(each["type"], each["value"]) for each in up["policies"]} == {("Percent", 100), ("Pods", 2)}
    assert down["stabilizationWindowSeconds"] == 300
    assert [(each["type"], each["value"]) for each in down["policies"]] == [("Percent", 25)]


def test_the_simulated_autoscaler_is_set_as_the_real_one() -> None:
    spec, simulated = _hpa(), Behavior()
    up, down = spec["behavior"]["scaleUp"], spec["behavior"]["scaleDown"]
    assert simulated.up_stabilization == up["stabilizationWindowSeconds"]
    assert simulated.down_stabilization == down["stabilizationWindowSeconds"]
    policies = {each["type"]: each for each in up["policies"]}
    assert simulated.up.percent == policies["Percent"]["value"]
    assert simulated.up.pods == policies["Pods"]["value"]
    assert {simulated.up.period} == {each["periodSeconds"] for each in up["policies"]}
    assert [(simulated.down.percent, simulated.down.period)] == [
        (each["value"], each["periodSeconds"]) for each in down["policies"]
    ]
    targets = {
        each["resource"]["name"]: each["resource"]["target"]["averageUtilization"] / 100 for each in spec["metrics"][:2]
    }
    assert {each.name: each.target for each in METRICS} == {**targets, UTILIZATION: 0.8}


def test_the_canary_differs_in_variant_and_shares_the_service() -> None:
    manifests = [*render("base"), *render("overlays/canary")]
    service = of_kind(manifests, "Service")["zai-proxy"]
    labels = [
        each["metadata"]["labels"]["zai-proxy/variant"] for each in chosen(service["spec"]["selector"], manifests)
    ]
    assert sorted(labels) == ["canary", "production"]
    selectors = [each["spec"]["selector"]["matchLabels"] for each in of_kind(manifests, "Deployment").values()]
    assert len({tuple(sorted(each.items())) for each in selectors}) == len(selectors)
    settings = of_kind(manifests, "ConfigMap")["zai-proxy-canary"]["data"]
    assert settings["DEPLOYMENT_VARIANT"] == "canary"


@every_rendering
def test_every_container_that_stays_is_probed_and_bounded(name: str) -> None:
    for pod in pods(render(name)).values():
        staying = [each for each in containers(pod).values() if each["name"] != "bootstrap"]
        assert all({"readinessProbe", "livenessProbe"} <= set(each) for each in staying)
        assert all(each["resources"]["limits"]["memory"] for each in containers(pod).values())


@every_rendering
def test_no_open_port_is_taken_for_a_sign_of_life(name: str) -> None:
    for pod in pods(render(name)).values():
        assert not [each["name"] for each in containers(pod).values() if "tcpSocket" in each.get("livenessProbe", {})]


def test_the_pre_stop_hook_drains_and_is_in_the_image() -> None:
    pod, settings = _proxy()
    envoy = containers(pod)["envoy"]
    command = envoy["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["python3", "-P", "/opt/zai-proxy/drain.py"]
    assert (DEPLOY / "image/drain.py").exists()
    assert envoy["env"][0]["valueFrom"]["configMapKeyRef"] == {"name": "zai-proxy", "key": "DRAIN_TIMEOUT"}
    assert "DRAIN_TIMEOUT" in settings


def test_pods_are_spread_and_one_at_a_time_may_be_evicted() -> None:
    manifests = render("base")
    spread = pods(manifests)["zai-proxy"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname"]
    assert chosen(spread[0]["labelSelector"]["matchLabels"], manifests)
    assert of_kind(manifests, "PodDisruptionBudget")["zai-proxy"]["spec"]["maxUnavailable"] == 1


def test_the_dashboard_has_a_disk_and_the_old_one_ends_before_the_new_one_starts() -> None:
    manifests = render("base")
    spec = of_kind(manifests, "Deployment")["zai-proxy-dashboard"]["spec"]
    claims = [each["persistentVolumeClaim"]["claimName"] for each in spec["template"]["spec"]["volumes"][:1]]
    assert claims == list(of_kind(manifests, "PersistentVolumeClaim"))
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_the_dashboard_and_the_processor_take_the_admin_token_from_one_secret_if_it_is_there() -> None:
    everything = pods(render("base"))
    sources = [
        next(
            each["valueFrom"]["secretKeyRef"] for each in containers(pod)[name]["env"] if each["name"] == "ADMIN_TOKEN"
        )
        for pod, name in ((everything["zai-proxy"], "extproc"), (everything["zai-proxy-dashboard"], "dashboard"))
    ]
    assert sources == [{"name": "zai-proxy-admin", "key": "token", "optional": True}] * 2


@pytest.mark.parametrize("name", ["devpod", "mcp"])
def test_a_cluster_has_its_namespace_its_label_and_its_application(name: str) -> None:
    manifests = render(f"overlays/{name}")
    assert (
        of_kind(manifests, "Namespace")[name]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
        == "restricted"
    )
    assert {each["metadata"]["namespace"] for each in manifests if each["kind"] != "Namespace"} == {name}
    relabelings = of_kind(manifests, "ServiceMonitor")["zai-proxy"]["spec"]["endpoints"][0]["relabelings"]
    assert relabelings == [{"targetLabel": "cluster", "replacement": name}]

    application = yaml.safe_load((DEPLOY / f"argocd/{name}.yaml").read_text())["spec"]
    assert application["source"]["path"] == f"deploy/overlays/{name}"
    assert application["destination"]["namespace"] == name


def test_keda_scales_as_the_hpa_does() -> None:
    manifests = render("overlays/keda")
    spec, hpa = of_kind(manifests, "ScaledObject")["zai-proxy"]["spec"], _hpa()
    assert of_kind(manifests, "HorizontalPodAutoscaler") == {}
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (hpa["minReplicas"], hpa["maxReplicas"])
    assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == hpa["behavior"]
    assert spec["scaleTargetRef"]["name"] == hpa["scaleTargetRef"]["name"]


def test_the_images_of_every_manifest_are_those_that_the_workflow_pushes() -> None:
    targets = yaml.safe_load((ROOT / ".github/workflows/image.yml").read_text())["jobs"]["image"]["strategy"]["matrix"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    named = {
        each["image"] for name in RENDERED for pod in pods(render(name)).values() for each in containers(pod).values()
    }
    foreign = {image for image in named if "zai-proxy-" not in image}
    repositories = {image.rpartition(":")[0].rpartition("/")[2].removeprefix("zai-proxy-") for image in named - foreign}
    assert repositories <= set(targets["target"])
    assert {image.rpartition(":")[2] for image in named - foreign} == {version}
    assert {image.partition(":")[0] for image in foreign} == {"valkey/valkey"}


def _reaches(source: Manifest, target: Manifest, port: str, manifests: list[Manifest]) -> bool:
    """Whether the network policies let pods of one template open a port of another's."""
    for direction, here, there in (("egress", source, target), ("ingress", target, source)):
        policies = [
            each["spec"]
            for each in of_kind(manifests, "NetworkPolicy").values()
            if each["spec"]["podSelector"]["matchLabels"].items() <= here["metadata"]["labels"].items()
            and direction.capitalize() in each["spec"]["policyTypes"]
        ]
        peers = "to" if direction == "egress" else "from"
        rules = [rule for spec in policies for rule in spec.get(direction, [])]
        if policies and not any(
            any(each["port"] == port for each in rule["ports"])
            and any(
                peer.get("podSelector", {}).get("matchLabels", {"": ""}).items() <= there["metadata"]["labels"].items()
                for peer in rule.get(peers, [])
            )
            for rule in rules
        ):
            return False
    return True


def test_pods_that_share_a_plan_reach_the_store_and_nobody_else_does() -> None:
    manifests = render("overlays/redis")
    everything = pods(manifests)
    store = everything["zai-proxy-limits"]

    assert _reaches(everything["zai-proxy"], store, "valkey", manifests)
    assert not _reaches(everything["zai-proxy-dashboard"], store, "valkey", manifests)
    assert of_kind(manifests, "NetworkPolicy")["zai-proxy-limits"]["spec"].get("egress") is None


def test_only_the_processor_gets_the_stores_url_and_no_command_line_its_password() -> None:
    manifests = render("overlays/redis")
    proxy, store = pods(manifests)["zai-proxy"], pods(manifests)["zai-proxy-limits"]
    secret = {"name": "zai-proxy-limits", "key": "url", "optional": True}
    holders = [
        name
        for name, each in containers(proxy).items()
        if {"name": "LIMITS_URL", "valueFrom": {"secretKeyRef": secret}} in each.get("env", [])
    ]
    server = containers(store)["valkey"]

    assert holders == ["extproc"]
    assert server["command"] == ["valkey-server", "/etc/valkey/password.conf"]
    assert not any("pass" in each for each in server["args"])
    assert "LIMITS_URL" not in of_kind(manifests, "ConfigMap")["zai-proxy"]["data"]


def test_the_share_without_the_store_is_that_of_the_most_pods_there_can_be() -> None:
    manifests = render("overlays/redis")
    most = of_kind(manifests, "HorizontalPodAutoscaler")["zai-proxy"]["spec"]["maxReplicas"]

    assert of_kind(manifests, "ConfigMap")["zai-proxy"]["data"]["REPLICAS"] == str(most)
