"""`keras-frcnn recipes`, which answers without TensorFlow."""

from keras_frcnn.recipes import RECIPES, describe_recipe, load_recipe
from keras_frcnn.settings import KEYS, format_value, option


def recipes(args) -> None:
    """List the recipes, or show one: its docstring and all its settings."""
    if args.name is None:
        width = max(map(len, RECIPES))
        for name in RECIPES:
            print(f"{name:{width}}  {describe_recipe(name).splitlines()[0]}")
        return
    settings = load_recipe(args.name).settings
    values = [f"    {option(key)} {format_value(getattr(settings, key))}" for key in KEYS]
    print("\n".join([describe_recipe(args.name), "\nSettings, as options of train:\n", *values]))
