"""The files of `deploy/` are what they are for: Dagster loads its own, and the manifests of Kubernetes fit together."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from sa_pipeline.dataset import SHARED_DATABASE_VARIABLE, Dataset, DatasetConfig, open_dataset
from sa_pipeline.errors import SettingsError
from sa_pipeline.local_launcher import LocalRunLauncher
from sa_pipeline.ray_launcher import ShardRunLauncher
from sa_pipeline.runs import ensure_dagster_home
from sa_pipeline.settings import PipelineSettings
from sa_pipeline.studio.database import DATABASE_VARIABLE, open_studio

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def empty(tmp_path: Path) -> Dataset:
    return open_dataset(tmp_path / "home", DatasetConfig(settings=PipelineSettings()))


def put_instance(dataset: Dataset, variant: str) -> None:
    dataset.dagster_home.mkdir(parents=True)
    shutil.copyfile(DEPLOY / variant / "dagster.yaml", dataset.dagster_home / "dagster.yaml")


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text(encoding="utf-8")))


def test_one_machine_is_what_every_home_begins_with(empty) -> None:
    put_instance(empty, "one-machine")
    with ensure_dagster_home(empty) as instance:
        assert isinstance(instance.run_launcher, LocalRunLauncher)
        assert instance.run_monitoring_enabled


def test_ray_and_the_studio_share_a_database(empty, shared_database, monkeypatch) -> None:
    monkeypatch.setenv("SA_PIPELINE_RAY", "http://127.0.0.1:1")
    monkeypatch.delenv(DATABASE_VARIABLE, raising=False)
    put_instance(empty, "ray")
    with ensure_dagster_home(empty) as instance:
        assert isinstance(instance.run_launcher, ShardRunLauncher)
        instance.add_dynamic_partitions("image_shards", ["000000"])
    studio = open_studio(empty)
    assert studio.kind == "postgresql"
    studio.close()
    with ensure_dagster_home(empty) as instance:
        assert instance.get_dynamic_partitions("image_shards") == ["000000"]


def test_a_database_without_its_driver_is_refused_before_dagster_stumbles(empty, monkeypatch) -> None:
    monkeypatch.setenv(SHARED_DATABASE_VARIABLE, "postgresql://a@b/c")
    with pytest.raises(SettingsError, match=r"expected postgresql\+psycopg2://"), ensure_dagster_home(empty):
        pass


def test_kubernetes_runs_with_the_settings_of_ray() -> None:
    (values,) = documents("kubernetes/values.yaml")
    (ray,) = documents("ray/dagster.yaml")
    for name, setting in values["additionalInstanceConfig"].items():
        assert setting == ray[name], name
    launcher = values["runLauncher"]["config"]["customRunLauncher"]
    assert launcher == ray["run_launcher"]
    assert values["computeLogManager"]["type"] == ray["compute_logs"]["class"]
    assert values["postgresql"]["postgresqlScheme"] == "postgresql+psycopg2"


def test_the_manifests_name_only_what_they_define() -> None:
    everything = [*documents("kubernetes/raycluster.yaml"), *documents("kubernetes/studio.yaml")]
    # The Helm chart makes this one, from values.yaml.
    defined = {(each["kind"], each["metadata"]["name"]) for each in everything} | {("ConfigMap", "dagster-instance")}
    (values,) = documents("kubernetes/values.yaml")
    charted = [values["dagsterWebserver"], values["dagsterDaemon"], *values["dagster-user-deployments"]["deployments"]]
    images = {f"{part['image']['repository']}:{part['image']['tag']}" for part in charted}
    used = set().union(*(environment_of_chart(part) for part in charted))
    for pod in pods(everything):
        images |= {container["image"] for container in pod["containers"]}
        used |= set().union(*(environment(container) for container in pod["containers"]), volumes(pod))
    assert used <= defined
    assert len(images) == 1


def environment_of_chart(part: dict[str, Any]) -> set[tuple[str, str]]:
    config = {("ConfigMap", each["name"]) for each in part["envConfigMaps"]}
    return config | {("Secret", each["name"]) for each in part["envSecrets"]}


def environment(container: dict[str, Any]) -> set[tuple[str, str]]:
    kinds = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
    whole = {(kinds[ref], target["name"]) for each in container["envFrom"] for ref, target in each.items()}
    return whole | {("Secret", each["valueFrom"]["secretKeyRef"]["name"]) for each in container["env"]}


def volumes(pod: dict[str, Any]) -> set[tuple[str, str]]:
    """What a pod's volumes are of; what its containers mount is a volume of it."""
    named = {each["name"]: each for each in pod.get("volumes", [])}
    assert {mount["name"] for container in pod["containers"] for mount in container.get("volumeMounts", [])} == set(
        named
    )
    claims = {each["persistentVolumeClaim"]["claimName"] for each in named.values() if "persistentVolumeClaim" in each}
    maps = {each["configMap"]["name"] for each in named.values() if "configMap" in each}
    return {("PersistentVolumeClaim", claim) for claim in claims} | {("ConfigMap", name) for name in maps}


def pods(everything: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for each in everything:
        spec = each.get("spec", {})
        if each["kind"] == "RayCluster":
            groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
            found += [group["template"]["spec"] for group in groups]
        if each["kind"] == "Deployment":
            found.append(spec["template"]["spec"])
    return found
