import pytest

torch = pytest.importorskip("torch", reason="the build runs in the engine environment")

from headrace.contracts.errors import StoreError  # noqa: E402
from headrace.models.build.recipes import RECIPES, Recipe, recipe_for  # noqa: E402
from headrace.models.build.safetensors_writer import TensorSpec  # noqa: E402

pytestmark = pytest.mark.engine_env


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.form)
@pytest.mark.parametrize("name", ["model.layers.0.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"])
def test_a_recipe_keeps_its_promise(recipe: Recipe, name: str) -> None:
    promised = recipe.promise(TensorSpec(name, torch.float32, (4, 8)))
    made = recipe.apply(name, torch.randn(4, 8))
    assert promised == [TensorSpec(n, t.dtype, tuple(t.shape)) for n, t in made]


def test_int8_rounds_the_layers_and_keeps_head_and_norms() -> None:
    recipe = recipe_for("int8")
    assert [t.dtype for _, t in recipe.apply("lm_head.weight", torch.randn(2, 2))] == [torch.bfloat16]
    layer = recipe.apply("model.layers.0.mlp.up_proj.weight", torch.randn(2, 2))
    assert [name for name, _ in layer][1] == "model.layers.0.mlp.up_proj.weight_scale"
    assert layer[0][1].dtype == torch.int8


def test_an_unknown_form_names_the_known_ones() -> None:
    with pytest.raises(StoreError, match="known: bf16, int8"):
        recipe_for("int2")
