from pathlib import Path

from headrace.retrieval.embed.launch import worker_argv, worker_env
from headrace.retrieval.embed.worker import KEY_VARIABLE


def test_the_key_is_in_the_environment_and_never_in_the_command_line() -> None:
    argv = worker_argv(python=Path("/env/bin/python"), model_dir=Path("/store/m"), port=9, threads=2)
    assert argv[:3] == ("/env/bin/python", "-m", "headrace.retrieval.embed.worker")
    assert argv[3:] == ("--model-dir", "/store/m", "--port", "9", "--threads", "2")
    env = worker_env({"PATH": "/bin", "CLOUD_KEY": "s"}, key="k")
    assert env[KEY_VARIABLE] == "k"
    assert "CLOUD_KEY" not in env
