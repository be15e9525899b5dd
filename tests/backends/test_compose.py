"""docker-compose.yml and the files it mounts say the same: ports, paths, volumes, variables, versions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.serving import environment
from tollbook.__main__ import main

from .programs import composed

ROOT = Path(__file__).parents[2]
OURS = {"gateway": "deploy/gateway.Dockerfile", "dashboard": "deploy/dashboard.Dockerfile"}


def services() -> dict[str, dict[str, Any]]:
    """As written, with the common part merged in and no variable replaced."""
    told: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return told


def lasting() -> dict[str, dict[str, Any]]:
    """Without the one that only prepares volumes."""
    return {name: service for name, service in services().items() if name != "volumes"}


def volumes_of(service: dict[str, Any]) -> dict[str, str]:
    """Inside -> outside."""
    return {target: source for source, target in (volume.split(":")[:2] for volume in service.get("volumes", ()))}


def build_versions() -> dict[str, str]:
    """The versions that tests/backends/build.sh builds."""
    script = (ROOT / "tests/backends/build.sh").read_text()
    return dict(re.findall(r"^([A-Z]+)=(\d+\.\d+\.\d+)", script, re.MULTILINE))


# ── Compose ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.backends
def test_compose_reads_the_file() -> None:
    assert set(composed()["services"]) == set(services())


def _compose_here() -> bool:
    docker = shutil.which("docker")
    return (
        docker is not None
        and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not _compose_here(), reason="docker compose is not installed")
def test_docker_compose_config_passes() -> None:
    told = environment(TOLLBOOK_MASTER_KEY="sk-of-the-tests", GRAFANA_PASSWORD="of-the-tests")
    command = ["docker", "compose", "--file", str(ROOT / "docker-compose.yml"), "config", "--quiet"]
    said = subprocess.run(command, env=told, capture_output=True, text=True, check=False)

    assert said.returncode == 0, said.stderr


def test_without_its_secrets_it_does_not_start_and_none_is_in_the_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text()

    assert set(re.findall(r"\$\{(\w+):\?", text)) == {"TOLLBOOK_MASTER_KEY", "GRAFANA_PASSWORD"}
    assert re.findall(r"(?i)\b(?:sk-[\w-]+|password: (?!\$))", text) == []


def test_every_variable_is_told_in_the_example() -> None:
    example = (ROOT / ".env.example").read_text()
    told = set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE))
    read = set(re.findall(r"\$\{(\w+)", (ROOT / "docker-compose.yml").read_text()))
    passed = {name for name, value in services()["gateway"]["environment"].items() if value is None}

    assert told == read | passed


def test_the_examples_defaults_are_the_files() -> None:
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    told = dict(re.findall(r"^#([A-Z_]+)=(\S+)", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert told == {name: defaults[name] for name in told}


# ── Who may do what ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", list(services()))
def test_no_service_may_write_to_its_root_or_do_what_root_may(name: str) -> None:
    service = services()[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])


def test_only_the_gateway_can_be_published_beyond_this_machine_and_only_when_asked_to() -> None:
    published = {name: service["ports"] for name, service in lasting().items() if "ports" in service}

    assert published.pop("gateway") == ["${TOLLBOOK_ADDRESS:-127.0.0.1}:4000:4000"]
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert set(published) == {"dashboard", "jaeger", "prometheus", "grafana"}


def test_images_are_pinned_to_a_release() -> None:
    for name, service in services().items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_what_is_deployed_is_what_is_tested() -> None:
    """Jaeger's releases of v2 cannot be built as modules after 2.13.0; its configuration is the same in both."""
    built = build_versions()
    images = {name: service["image"].rpartition(":")[2] for name, service in services().items()}

    assert images["otel-collector"] == built["COLLECTOR"]
    assert images["prometheus"] == f"v{built['PROMETHEUS'].replace('0.3', '3.', 1)}"
    assert built["JAEGER"] == "1.76.0"  # 2.13.0 under its other name
    assert tuple(map(int, images["jaeger"].split("."))) >= (2, 13, 0)
    assert f"version: {built['COLLECTOR']}" in (ROOT / "tests/backends/collector-builder.yaml").read_text()


def test_every_lasting_service_is_asked_for_its_health_but_the_one_that_cannot_be() -> None:
    asked = {name for name, service in lasting().items() if "healthcheck" in service or name in OURS}

    assert set(lasting()) - asked == {"otel-collector"}
    for file in OURS.values():
        assert "HEALTHCHECK" in (ROOT / file).read_text()


# ── Paths, ports, volumes ───────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_mounted_from_here_exists_and_cannot_be_written_to() -> None:
    for name, service in services().items():
        for volume in service.get("volumes", ()):
            source, _, rest = volume.partition(":")
            if source.startswith("./"):
                assert (ROOT / source).exists(), (name, source)
                assert rest.endswith(":ro"), (name, volume)


def test_every_volume_is_used_and_every_one_that_is_used_is_named() -> None:
    used = {source for service in services().values() for source in volumes_of(service).values() if "/" not in source}

    assert used == set(yaml.safe_load((ROOT / "docker-compose.yml").read_text())["volumes"])


def test_folders_that_an_image_has_not_are_given_to_the_user_that_writes_them() -> None:
    prepared = services()["volumes"]
    inside = {source: target for target, source in volumes_of(prepared).items()}

    for name, folder in (("otel-collector", "/var/lib/otelcol"), ("jaeger", "/badger")):
        volume = volumes_of(services()[name])[folder]
        assert inside[volume] in prepared["entrypoint"], name
        assert services()[name]["depends_on"]["volumes"] == {"condition": "service_completed_successfully"}
    assert prepared["entrypoint"][:2] == ["chown", "10001:10001"]


def test_defaults_of_the_collector_are_the_names_and_folders_of_the_stack() -> None:
    text = (ROOT / "otel-collector.yaml").read_text()
    defaults = dict(re.findall(r"\$\{env:(\w+):-([^}]*)\}", text))
    collector = services()["otel-collector"]

    assert defaults["JAEGER_ENDPOINT"] == "jaeger:4317"
    assert defaults["PROMETHEUS_ENDPOINT"] == "http://prometheus:9090"
    assert defaults["COLLECTOR_QUEUE_DIRECTORY"] in volumes_of(collector)
    assert (
        f"http://otel-collector:{defaults['COLLECTOR_HTTP_PORT']}"
        == (services()["gateway"]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"])
    )
    assert collector["command"][-1] in volumes_of(collector)
    for name in ("TRACE_PERCENT_OF_THE_REST", "TRACE_EXPENSIVE_USD", "TRACE_SLOW_MS"):
        assert collector["environment"][name] == f"${{{name}:-{defaults[name]}}}"


def test_defaults_of_jaeger_are_the_names_and_folders_of_the_stack() -> None:
    defaults = dict(re.findall(r"\$\{env:(\w+):-([^}]*)\}", (ROOT / "deploy/jaeger/config.yaml").read_text()))
    jaeger = services()["jaeger"]
    mounted = volumes_of(jaeger)

    assert defaults["JAEGER_DIRECTORY"] in mounted
    assert mounted[str(Path(defaults["JAEGER_UI_CONFIG"]).parent)] == "./deploy/jaeger"
    assert jaeger["command"][-1] == "/etc/jaeger/config.yaml"
    assert jaeger["ports"] == [f"127.0.0.1:{defaults['JAEGER_HTTP_PORT']}:{defaults['JAEGER_HTTP_PORT']}"]
    assert f":{defaults['JAEGER_HEALTH_PORT']}/" in jaeger["healthcheck"]["test"][-1]
    assert jaeger["environment"]["JAEGER_KEEP"] == f"${{TRACES_KEPT:-{defaults['JAEGER_KEEP']}}}"


def test_prometheus_fetches_from_services_and_ports_of_the_stack() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    targets = {
        target for job in config["scrape_configs"] for group in job["static_configs"] for target in group["targets"]
    }
    own = set(re.findall(r"_METRICS_PORT:-(\d+)", (ROOT / "otel-collector.yaml").read_text()))
    flags = dict(flag.removeprefix("--").partition("=")[::2] for flag in services()["prometheus"]["command"])
    mounted = volumes_of(services()["prometheus"])

    assert own == {"8888"}
    assert targets == {"localhost:9090", "otel-collector:8888", "jaeger:8888", "grafana:3000"}
    assert {target.partition(":")[0] for target in targets} - {"localhost"} <= set(services())
    assert mounted[str(Path(flags["config.file"]).parent)] == "./deploy/prometheus"
    assert flags["storage.tsdb.path"] in mounted
    assert "web.enable-otlp-receiver" in flags
    assert "exemplar-storage" in flags["enable-feature"].split(",")


def test_grafana_finds_its_sources_and_dashboards_where_they_are_mounted() -> None:
    grafana = services()["grafana"]
    mounted = volumes_of(grafana)
    provided = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/tollbook.yaml").read_text())
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/tollbook.yaml").read_text())

    (folder,) = {provider["options"]["path"] for provider in provided["providers"]}
    assert mounted[folder] == "./deploy/grafana/dashboards"
    assert mounted["/etc/grafana/provisioning"] == "./deploy/grafana/provisioning"
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / mounted[str(home.parent)] / home.name).is_file()
    assert [source["url"] for source in sources["datasources"]] == ["http://prometheus:9090", "http://jaeger:16686"]


def test_links_in_jaeger_lead_to_dashboards_and_ports_that_exist() -> None:
    patterns = json.loads((ROOT / "deploy/jaeger/ui.json").read_text())["linkPatterns"]
    boards = {file.stem for file in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    ports = {port.rpartition(":")[2] for service in lasting().values() for port in service.get("ports", ())}

    for pattern in patterns:
        assert re.match(r"http://localhost:(\d+)/", pattern["url"])[1] in ports  # type: ignore[index] - it matches, or fails
        if board := re.search(r"/d/([\w-]+)", pattern["url"]):
            assert board[1] in boards


# ── Our own ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_gateways_configuration_is_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "")  # as in .env.example
    monkeypatch.setenv("TOLLBOOK_MASTER_KEY", "sk-of-the-tests")

    assert main(["check", "--config", str(ROOT / "deploy/gateway.yaml")]) == 0, capsys.readouterr().err


def test_commands_of_our_images_are_ones_that_the_program_has() -> None:
    gateway, dashboard = services()["gateway"], services()["dashboard"]

    assert gateway["command"][:3] == ["serve", "--host", "0.0.0.0"]
    assert gateway["command"][-2:] == ["--config", "/etc/tollbook/gateway.yaml"]
    assert volumes_of(gateway)["/etc/tollbook/gateway.yaml"] == "./deploy/gateway.yaml"
    assert dashboard["command"][-1] == "http://gateway:4000"
    for name, file in OURS.items():
        text = (ROOT / file).read_text()
        port = services()[name]["ports"][0].rpartition(":")[2]
        assert f"EXPOSE {port}" in text
        assert f":{port}/" in text.partition("HEALTHCHECK")[2]
        assert "USER 10001:10001" in text
        assert services()[name]["build"] == {"context": ".", "dockerfile": file}


def test_streams_get_the_time_to_end_that_the_gateway_gives_them() -> None:
    from tollbook.server.run import GRACE

    assert int(services()["gateway"]["stop_grace_period"].removesuffix("s")) > GRACE


def test_the_context_of_images_holds_what_they_copy_and_neither_keys_nor_books() -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]

    for file in OURS.values():
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / file).read_text(), re.MULTILINE)
        assert {name for line in copied for name in line.split()} == set(let_in)
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
