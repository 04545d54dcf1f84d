"""An experiment: detectors trained by variants of one recipe, measured and compared.

OUT/<variant>/     a run as any other (`keras_frcnn.runs.directory`), one for each training
OUT/<NAME>.csv     what was measured, a row for each case
OUT/<NAME>.md      the same as a table, with the settings
OUT/<NAME>.png     the same as a picture

Experiments that share OUT share their runs: `recipe`, the recipe as it is, belongs to most.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from keras_frcnn.data.dataset import ImageSet
from keras_frcnn.errors import InputError, Interrupted
from keras_frcnn.evaluation.tables import Row, format_markdown, write_csv
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.runs.checkpoints import checkpoint_paths
from keras_frcnn.runs.directory import detector_of, load_settings
from keras_frcnn.settings import Settings, differences
from keras_frcnn.training import fit as training
from keras_frcnn.training.checks import check_run

RECIPE = "recipe"  # the variant that changes nothing


@dataclass(frozen=True)
class Variant:
    """A training of an experiment.

    `changes` are the settings that are not the recipe's; where `initial` names an earlier variant,
    it starts from the detector of that one in place of the recipe's weights.
    """

    name: str
    changes: dict = field(default_factory=dict)
    initial: str | None = None


@dataclass(frozen=True)
class Ablation:
    """What to train, what to measure of each detector and how to draw it.

    `measure` takes the name of a variant, its detector, its settings, the test split and the
    metric (`evaluation.evaluate`); the rows of all variants, in order, make the table.
    """

    name: str
    title: str
    variants: Callable[[Settings], list[Variant]]  # from the settings of the recipe
    measure: Callable[..., list[Row]]
    draw: Callable[[str, list[Row]], Image.Image]  # from the title and the table


def run_ablation(
    ablation: Ablation, out: Path, settings: Settings, train: ImageSet, test: ImageSet, metric: str
) -> list[Row]:
    """Train the variants in `out`, measure them, and write table and picture.

    All variants have the seed of `settings`. One that is finished is not trained again, and one
    that was interrupted goes on from its newest checkpoint.

    Raises:
        InputError: the recipe does not suit the experiment, or `out` holds a run of other
            settings; nothing has been trained then.
        Interrupted: as `training.train` does.
    """
    planned = plan(ablation, out, settings)
    make_folder(out)
    rows = []
    for name, of_variant in planned.items():
        print(f"{ablation.name}: {name}", *differences(of_variant, settings), sep="\n  ")
        run = out / name
        resume = (run / "config.json").is_file()
        try:
            model = training.train(run, train, of_variant, resume=resume)
        except Interrupted as stopped:
            raise Interrupted(
                stopped.number, f"{run} is not finished; the same command goes on with it"
            ) from stopped
        detector = detector_of(model, of_variant)
        rows += ablation.measure(name, detector, of_variant, test, metric)
    table = format_markdown(rows)
    print(table)
    write_csv(out / f"{ablation.name}.csv", rows)
    with replacing(out / f"{ablation.name}.png") as partial:
        ablation.draw(ablation.title, rows).save(partial)
    with replacing(out / f"{ablation.name}.md") as partial:
        source = f"Recipe {settings.recipe}" if settings.recipe else "The defaults"
        about = (
            f"{source}, {settings.steps} steps, seed {settings.seed}; mAP ({metric}) on "
            f"{len(test.dataset.images)} images of {test.dataset.name}."
        )
        picture = f"![{ablation.title}]({ablation.name}.png)"
        partial.write_text(f"# {ablation.title}\n\n{about}\n\n{table}\n\n{picture}\n", "utf-8")
    return rows


def plan(ablation: Ablation, out: Path, settings: Settings) -> dict[str, Settings]:
    """The settings of all variants by name, in the order of training; errors as `run_ablation`."""
    planned = {}
    for variant in ablation.variants(settings):
        changes = dict(variant.changes)
        if variant.initial:
            changes |= {"initial": str(out / variant.initial), "weights": None}
        planned[variant.name] = dataclasses.replace(settings, **changes)
    for name, of_variant in planned.items():
        run = out / name
        check_run(run, of_variant, resume=(run / "config.json").is_file())
        # `steps` may change when a run is resumed, but all variants must have the same.
        if checkpoint_paths(run) and (steps := load_settings(run).steps) != of_variant.steps:
            raise InputError(
                f"{run}: was trained for {steps} steps, not {of_variant.steps}; give another --out"
            )
    return planned
