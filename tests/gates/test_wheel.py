import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.gates.shape import ROOMS, source_files

ROOT = Path(__file__).parents[2]
PACKAGED_DATA = (
    "headrace/gateway/settings/configs/default.yaml",
    "headrace/gateway/settings/configs/three-tier.yaml",
    "headrace/models/catalog/smollm2-135m-instruct-int8.yaml",
    "headrace/router/difficulty/artefacts/",
    "headrace/router/cascade/calibration/",
    "headrace/kernels/tuned/sm_90/moe_gate.json",
    "headrace/py.typed",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a clean copy, so that nothing an earlier build left can get into it."""
    copy = tmp_path_factory.mktemp("copy")
    leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("src", *ROOMS):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=leftovers)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(copy / "dist")]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", *options, str(copy)], check=True)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel in it; its dependencies are borrowed from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site_packages = next(folder.glob("lib/python*/site-packages"))
    # A .pth file of ours lends the folder; .pth files inside it, our editable install among them, are not read.
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-compile", "--ignore-installed", str(wheel)], check=True)
    return folder


def test_the_linked_rooms_are_in_it_as_real_files(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in source_files(ROOT):
        inside = source.relative_to("src") if source.parts[0] == "src" else Path("headrace") / source
        assert str(inside) in names


def test_configs_catalogue_and_artefacts_are_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in PACKAGED_DATA:
        assert any(name.startswith(wanted) for name in names), wanted


def test_vllm_finds_the_plug_in_in_it_and_nothing_that_vllm_pins(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (points,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    said = archive.read(points).decode()
    assert "[vllm.general_plugins]\nheadrace = headrace.kernels.vllm_plugin:register" in said
    metadata = archive.read(points.replace("entry_points.txt", "METADATA")).decode()
    wanted = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    assert all("extra ==" in line for line in wanted)


def test_installed_alone_it_validates_its_default_config(environment: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [environment / "bin/headrace", "validate"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_installed_alone_nothing_comes_from_the_checkout(environment: Path, tmp_path: Path) -> None:
    script = "import headrace, headrace.gateway.app as app; print(headrace.__file__, app.__file__)"
    result = subprocess.run(
        [environment / "bin/python", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert all(Path(path).is_relative_to(environment) for path in result.stdout.split())
