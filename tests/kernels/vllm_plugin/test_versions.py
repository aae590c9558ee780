import pytest

from headrace.kernels.vllm_plugin.versions import UnsupportedVllm, check_version


@pytest.mark.parametrize("version", ["0.32.0", "0.32.4", "0.32.1rc2", "0.32.0+cu130"])
def test_every_patch_of_the_supported_release_is_taken(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["0.31.9", "0.33.0", "1.32.0", "0.3.2", "dev", ""])
def test_any_other_is_refused_with_its_number_and_the_range(version: str) -> None:
    with pytest.raises(UnsupportedVllm, match=rf"{version!r}.*vllm>=0\.32,<0\.33"):
        check_version(version)
