"""From the command line of `train` to its settings."""

import pytest

from keras_frcnn.cli.parser import build_parser
from keras_frcnn.cli.resolve import resolve
from keras_frcnn.errors import InputError
from keras_frcnn.recipes import load_recipe
from keras_frcnn.runs.directory import load_settings, save_settings, write_json
from keras_frcnn.settings import Settings


def resolved(arguments, run="new"):
    return resolve(build_parser().parse_args(["train", "--out", str(run), *arguments.split()]))


def settings_of(arguments, run="new"):
    return resolved(arguments, run).settings


def test_a_recipe_gives_every_setting():
    settings = settings_of("--recipe vgg16-bccd")
    assert settings == load_recipe("vgg16-bccd").settings
    assert resolved("--recipe vgg16-bccd").report() == "settings: recipe vgg16-bccd"


def test_options_take_the_place_of_the_recipes():
    found = resolved("--recipe vgg16-bccd --steps 10 --rate 0.1 --min-side 64 --seed 3")
    settings = found.settings
    assert (settings.steps, settings.rate, settings.min_side, settings.seed) == (10, 0.1, (64,), 3)
    assert settings.warmup == 100 and settings.recipe == "vgg16-bccd"
    assert found.report().splitlines() == [
        "settings: recipe vgg16-bccd, with",
        "  --min-side 64 (not 320)",
        "  --steps 10 (not 3000)",
        "  --rate 0.1 (not 0.005)",
        "  --seed 3 (not 0)",
    ]


def test_a_recipe_of_another_detector_keeps_none_of_its_numbers():
    """The 64 RoIs of Fast R-CNN's recipe are not those of joint training."""
    settings = settings_of("--recipe vgg16-bccd --detector faster_rcnn")
    assert (settings.rois_per_image, settings.bg_iou_low) == (128, 0)
    settings = settings_of("--recipe vgg16-bccd-faster --alternating true --bg-iou-low 0.1")
    assert (settings.rois_per_image, settings.bg_iou_low) == (64, 0.1)


def test_other_data_does_not_take_the_recipes_split():
    own = settings_of("--recipe vgg16-voc07 --data photos")
    assert (own.data, own.split) == ("photos", "")
    assert settings_of("--recipe vgg16-voc07 --split train").split == "train"
    assert settings_of("--recipe vgg16-voc07 --split train").data == "voc/2007"


def test_no_data_at_all():
    with pytest.raises(InputError, match="--data"):
        resolved("--steps 3")


def test_impossible_values_are_refused_before_the_data_is_read():
    with pytest.raises(InputError, match="steps: must be positive"):
        resolved("--recipe vgg16-bccd --steps 0")
    with pytest.raises(InputError, match="nearest is 'squeezenet'"):
        resolved("--data d --trunk squeezenett")


def test_unknown_recipe():
    with pytest.raises(InputError, match="'vgg-bccd' is unknown, the nearest is 'vgg16-bccd'"):
        resolved("--recipe vgg-bccd")


def test_without_a_recipe_vgg16_starts_from_imagenet():
    assert settings_of("--data d").weights == "imagenet"
    assert settings_of("--data d --weights none").weights is None
    assert settings_of("--data d --weights w.h5").weights == "w.h5"
    assert settings_of("--data d --trunk squeezenet").weights is None
    assert resolved("--data d --split s --steps 5").report().splitlines() == [
        "settings: the defaults, with",
        "  --steps 5 (not 40000)",
    ]


@pytest.fixture
def run(tmp_path):
    settings = Settings(
        "photos",
        "train",
        ("cat",),
        "squeezenet",
        fc_units=(8, 8),
        min_side=(64,),
        max_side=90,
        precision="float32",
    )
    save_settings(tmp_path, settings)
    return tmp_path


def test_starting_from_a_run_takes_its_network_and_scale(run):
    settings = settings_of(f"--data d --from {run}")
    assert (settings.initial, settings.weights) == (str(run), None)
    assert (settings.trunk, settings.fc_units) == ("squeezenet", (8, 8))
    assert (settings.min_side, settings.max_side) == ((64,), 90)
    assert settings_of(f"--data d --from {run} --min-side 32").min_side == (32,)
    assert settings_of(f"--recipe vgg16-voc07 --from {run}").weights is None


def test_starting_from_what_is_no_run(tmp_path):
    for arguments in ("--data d", "--recipe vgg16-bccd"):
        with pytest.raises(InputError, match=f"{tmp_path}: not a run"):
            resolved(f"{arguments} --from {tmp_path}")


def test_pretrained_weights_beside_a_run_are_refused(run):
    with pytest.raises(InputError, match="weights and initial"):
        resolved(f"--data d --from {run} --weights w.h5")


def test_a_resumed_run_has_its_own_settings(run):
    settings = settings_of("--resume --steps 7", run)
    assert settings.trunk == "squeezenet" and settings.steps == 7
    assert (settings.data, settings.split) == ("photos", "train")
    elsewhere = settings_of("--resume --data elsewhere", run)
    assert (elsewhere.data, elsewhere.split) == ("elsewhere", "train")


def test_a_resumed_run_finds_proposals_as_before(run):
    options = "--data d --search quality --search-side 320"
    save_settings(run, settings_of(options))
    assert settings_of("--resume", run).search == "quality"
    assert settings_of("--resume", run).search_side == 320


def test_a_resumed_run_differs_from_the_same_defaults_as_a_new_one(run):
    options = "--data photos --split train --trunk squeezenet --fc-units 8,8 --min-side 64"
    new = resolved(f"{options} --max-side 90").report()
    assert "squeezenet" in new and "weights" not in new
    assert resolved("--resume", run).report() == new


def test_a_resumed_run_keeps_its_recipe(tmp_path):
    recipe = load_recipe("vgg16-bccd").settings
    save_settings(tmp_path, recipe)
    content = recipe.to_dict()
    assert settings_of("--resume", tmp_path) == recipe
    assert settings_of("--resume --recipe vgg16-bccd", tmp_path) == recipe
    # Another one is not this run's: training refuses the difference.
    assert settings_of("--resume --recipe vgg16-voc07", tmp_path).recipe == "vgg16-voc07"
    # One that a later version dropped does not keep the run from going on.
    write_json(tmp_path / "config.json", {**content, "recipe": "dropped"})
    found = resolved("--resume", tmp_path)
    assert found.settings.recipe == "dropped" and "defaults" in found.report()


def test_settings_of_an_older_version_are_completed(run):
    """A config.json without the newer settings is read with their defaults."""
    content = load_settings(run).to_dict()
    for name in ("group_by_aspect", "initial", "recipe", "keep_checkpoints", "bias_decay"):
        del content[name]
    write_json(run / "config.json", content)
    settings = load_settings(run)
    assert settings.group_by_aspect is False and settings.recipe is None
    assert settings.bias_decay is True and settings.fc_units == (8, 8)
