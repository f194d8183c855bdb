"""deploy/kubernetes: the published schemas take the manifests, and they fit each other, the image and the settings."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from aura_core.config import settings
from aura_core.config.reading import exposed
from aura_core.testing import AuraServer

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
BUILT_IN = [FOLDER, FOLDER / "ingress"]
OLDEST = "1.30"
"""The oldest version whose kubelet waits in preStop by itself."""

Manifest = dict[str, Any]


def rendered(folder: Path) -> list[Manifest]:
    """What `kubectl apply -k` would send."""
    kubectl = shutil.which("kubectl") or pytest.skip("needs kubectl: apt-get install kubernetes-client")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def manifests() -> dict[str, Manifest]:
    """The base by kind; of the ConfigMaps each by its name."""
    found = rendered(FOLDER)
    names = {"ConfigMap": lambda each: re.sub(r"-[a-z0-9]{10}$", "", each["metadata"]["name"])}
    return {names.get(each["kind"], lambda each: each["kind"])(each): each for each in found}


@pytest.mark.parametrize("folder", BUILT_IN, ids=lambda folder: folder.name)
@pytest.mark.parametrize("version", [OLDEST, "latest"])
def test_built_in_kinds_pass_the_published_schemas(folder: Path, version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    version = kubernetes_validate.latest_version() if version == "latest" else version
    documents = rendered(folder)
    if folder == FOLDER:
        documents += [yaml.safe_load((FOLDER / "secret.example.yaml").read_text(encoding="utf-8"))]
    assert documents
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)
    broken = documents[0] | {"metdata": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, version, strict=True)


@pytest.mark.parametrize("folder", ["gateway", "monitoring"])
def test_other_kinds_name_what_the_base_has(folder: str, manifests: dict[str, Manifest]) -> None:
    """Their schemas are their projects'; the service, its port and the secret are ours."""
    documents = {each["kind"]: each for each in rendered(FOLDER / folder)}
    port = manifests["Service"]["spec"]["ports"][0]
    if folder == "gateway":
        (rule,) = documents["HTTPRoute"]["spec"]["rules"]
        assert rule["backendRefs"] == [{"name": manifests["Service"]["metadata"]["name"], "port": port["port"]}]
        assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
        (parent,) = documents["HTTPRoute"]["spec"]["parentRefs"]
        assert parent["name"] == documents["Gateway"]["metadata"]["name"]
    else:
        monitor = documents["ServiceMonitor"]["spec"]
        assert monitor["selector"]["matchLabels"].items() <= manifests["Service"]["metadata"]["labels"].items()
        (endpoint,) = monitor["endpoints"]
        assert endpoint["port"] == port["name"]
        key = endpoint["authorization"]["credentials"]
        secret = yaml.safe_load((FOLDER / "secret.example.yaml").read_text(encoding="utf-8"))
        assert key["name"] == secret["metadata"]["name"]
        assert key["key"] in secret["stringData"]


def test_the_ingress_has_what_streams_need(manifests: dict[str, Manifest]) -> None:
    (ingress,) = rendered(FOLDER / "ingress")
    notes = {key.partition("/")[2]: value for key, value in ingress["metadata"]["annotations"].items()}
    assert notes["proxy-buffering"] == "off"
    assert notes["proxy-next-upstream"] == "error http_503 non_idempotent"
    assert int(notes["proxy-read-timeout"]) > 60
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    service = manifests["Service"]
    assert path["backend"]["service"] == {
        "name": service["metadata"]["name"],
        "port": {"name": service["spec"]["ports"][0]["name"]},
    }


def _pod(manifests: dict[str, Manifest]) -> tuple[Manifest, Manifest]:
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    return pod, container


def test_everything_selects_the_pods(manifests: dict[str, Manifest]) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    selectors = [
        manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        manifests["Service"]["spec"]["selector"],
        manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        *[each["labelSelector"]["matchLabels"] for each in _pod(manifests)[0]["topologySpreadConstraints"]],
    ]
    assert selectors == [labels] * 6
    target = manifests["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", manifests["Deployment"]["metadata"]["name"])


def test_the_pod_runs_as_the_image_s_user_without_rights(manifests: dict[str, Manifest]) -> None:
    pod, container = _pod(manifests)
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"\nUSER {pod['securityContext']['runAsUser']}\n" in dockerfile
    own = container["securityContext"]
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    (port,) = container["ports"]
    assert f"\nEXPOSE {port['containerPort']}\n" in dockerfile
    probes = [container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/health/ready", "/health", "/health/ready"]
    assert {probe["port"] for probe in probes} == {port["name"]}


def test_the_grace_period_holds_the_whole_drain(manifests: dict[str, Manifest], loaded: settings.Settings) -> None:
    pod, container = _pod(manifests)
    wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    server = loaded.server
    assert server.drain_delay == 5
    # The readiness probe sees it in that time.
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"] < server.drain_delay
    assert pod["terminationGracePeriodSeconds"] == wait + server.drain_delay + server.drain_timeout + 10
    limit = container["resources"]["limits"]["memory"]
    assert limit == "1Gi"
    assert server.max_buffered * 4 == 1024**3
    metrics = manifests["HorizontalPodAutoscaler"]["spec"]["metrics"]
    streams = next(each["pods"] for each in metrics if each["type"] == "Pods")
    assert int(streams["target"]["averageValue"]) * 2 == server.max_streams


@pytest.fixture
def loaded(manifests: dict[str, Manifest], tmp_path: Path) -> settings.Settings:
    """The settings of the pods; the secret's files are there."""
    secret = yaml.safe_load((FOLDER / "secret.example.yaml").read_text(encoding="utf-8"))
    text = manifests["aura-settings"]["data"]["aura.toml"]
    for name, value in secret["stringData"].items():
        assert f'"/etc/aura/secrets/{name}"' in text
        (tmp_path / name).write_text(value.replace(" ", "-"))
    config = tmp_path / "aura.toml"
    config.write_text(text.replace("/etc/aura/secrets", str(tmp_path)))
    return settings.load({}, {"AURA_SERVER__HOST": "::"}, config)


def test_the_settings_are_complete(manifests: dict[str, Manifest], loaded: settings.Settings) -> None:
    assert loaded.unguarded is None, "strangers need a token"
    assert str(loaded.directory) == "/etc/aura/agents"
    _, container = _pod(manifests)
    environ = {each["name"]: each["value"] for each in container["env"]}
    mounts = {each["mountPath"] for each in container["volumeMounts"]}
    assert environ == {"AURA_CONFIG": "/etc/aura/settings/aura.toml"}
    assert {"/etc/aura/settings", "/etc/aura/agents", "/etc/aura/secrets"} < mounts
    assert not any("subPath" in each for each in container["volumeMounts"]), "such a file never changes"


def test_agents_change_as_the_kubelet_changes_a_config_map(manifests: dict[str, Manifest], tmp_path: Path) -> None:
    """It writes a new folder and swaps the link `..data`, to which the files are links."""
    folder = tmp_path / "agents"
    folder.mkdir()
    agents = dict(manifests["aura-agents"]["data"])

    def publish(version: str, files: dict[str, str]) -> None:
        target = folder / f"..{version}"
        target.mkdir()
        for name, text in files.items():
            (target / name).write_text(text)
        fresh = folder / "..data_tmp"
        fresh.symlink_to(target.name)
        fresh.rename(folder / "..data")
        for name in files:
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")

    publish("2026_01", agents)
    with AuraServer(tmp_path, environ={"OPENAI_API_KEY": "k"}) as aura:
        (info,) = aura.runtime.bindings.agent_infos()
        assert (info.id, info.provider, info.error) == ("assistant", "openai", None)
        publish("2026_02", {"assistant.md": "---\nprovider: echo\n---\nHi.\n", "second.md": "Hi.\n"})
        aura_ids = _patiently(aura, {"assistant": "echo"})
        assert set(aura_ids) == {"assistant", "second"}
        assert aura.ask("assistant", "Hello")[-1].name == "done"


def _patiently(aura: AuraServer, wanted: dict[str, str]) -> dict[str, str | None]:
    import time

    end = time.monotonic() + 60
    while True:
        found = {info.id: info.provider for info in aura.runtime.bindings.agent_infos()}
        if wanted.items() <= found.items() and len(found) == 2:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_a_mounted_secret_is_no_open_file(tmp_path: Path, manifests: dict[str, Manifest]) -> None:
    pod, _ = _pod(manifests)
    (secret,) = [volume["secret"] for volume in pod["volumes"] if "secret" in volume]
    file = tmp_path / "token"
    file.write_text("t")
    file.chmod(secret["defaultMode"])
    assert exposed(file) is None
