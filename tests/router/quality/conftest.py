import pytest

from headrace.router.quality.model import QualityModel, load


@pytest.fixture(scope="session")
def packaged() -> QualityModel:
    return load()
