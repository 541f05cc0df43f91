"""The chart as an archive, and its schema as the settings say."""

import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

import helm_python
import pytest

from ark_broker.settings import Settings
from tests.helm.chart import CHART, NAMESPACE, ROOT, render

SCHEMA_SCRIPT = ROOT / "helm" / "settings_schema.py"


def test_the_archive_has_what_the_chart_needs_and_nothing_else(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)

    with tarfile.open(archive) as files:
        names = {name.removeprefix("ark-broker/") for name in files.getnames()}
    here = {str(path.relative_to(CHART)) for path in CHART.rglob("*") if path.is_file()}
    assert names == {name for name in here if "__pycache__" not in name}
    with helm_python.Chart.load(archive) as chart:
        files_of_archive = chart.render({}, name="ark-broker", namespace=NAMESPACE)
    assert "files/restart_controllers.py" in names
    assert any(path.endswith("deployment.yaml") for path in files_of_archive)


def test_an_upgrade_renders_what_an_install_does() -> None:
    assert render(is_upgrade=True, is_install=False, revision=2).objects == render().objects


def test_the_schema_knows_the_settings() -> None:
    check = subprocess.run([sys.executable, SCHEMA_SCRIPT, "--check"], capture_output=True, text=True, check=False)

    assert check.returncode == 0, check.stderr


def test_an_outdated_schema_is_noticed_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ark-broker").mkdir()
    schema = tmp_path / "ark-broker" / "values.schema.json"
    schema.write_text('{"properties": {"settings": {}}}')
    script = tmp_path / "settings_schema.py"
    script.write_text(SCHEMA_SCRIPT.read_text())
    main = runpy.run_path(str(script))["main"]

    assert main(["--check"]) == 1
    assert "values.schema.json" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0


def test_every_setting_is_in_the_schema_or_is_set_by_another_value() -> None:
    script = runpy.run_path(str(SCHEMA_SCRIPT))
    names = set(script["settings_schema"]()["properties"])

    assert {script["camel_case"](field) for field in Settings.model_fields} - names == {
        script["camel_case"](field) for field in script["ELSEWHERE"]
    }
