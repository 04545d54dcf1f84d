"""The sub-commands of `keras-frcnn` and their arguments.

What they do is in `keras_frcnn.cli`, in functions of the same names: those of `__main__.MODULES`
in modules of their own, the others in `commands`.
"""

import argparse

from keras_frcnn import __version__
from keras_frcnn.cli.beam_command import add_beam
from keras_frcnn.cli.check_command import add_check
from keras_frcnn.cli.convert_command import add_convert
from keras_frcnn.cli.proposal_options import add_proposals, add_recall
from keras_frcnn.cli.serving_options import (
    IMAGES_HELP,
    add_client,
    add_export,
    add_max_pixels,
    add_min_score,
    add_serving,
)
from keras_frcnn.cli.show_options import add_show
from keras_frcnn.cli.test_time_options import add_test_options
from keras_frcnn.cli.training_options import PROPOSAL_KEYS, add_settings, add_training
from keras_frcnn.settings import KEYS

DATA_HELP = (
    "data set: a folder (Pascal VOC, COCO, YOLO or CSV, docs/data_sets.md), a Pascal VOC year from "
    "TensorFlow Datasets (voc/2007, voc/2012), or shapes (generated)"
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="keras-frcnn", description="Fast and Faster R-CNN for TensorFlow and Keras 3."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name, help, example):
        sub = commands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=f"example: {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        return sub

    sub = command("demo", "the whole way on generated images", "keras-frcnn demo --out demo")
    sub.add_argument("--out", default="demo", help="folder for the run (default: %(default)s)")

    sub = command(
        "check",
        "tell what a data set holds and what is at fault in it; exit status 1 where a training "
        "would be refused",
        "keras-frcnn check --data photos/",
    )
    _add_data(sub, classes=False, split=False)
    add_check(sub)

    sub = command(
        "show",
        "draw ground truth, proposals, sampled RoIs, the padded batch or what RoI pooling reads",
        "keras-frcnn show data --data photos/ --out shown",
    )
    _add_data(sub)
    add_show(sub)

    sub = command(
        "convert",
        "write a data set in another form, with the same boxes",
        "keras-frcnn convert --data photos/ --to photos-coco --format coco",
    )
    _add_data(sub, classes=False, split=False, fractions=False)
    add_convert(sub)

    sub = command(
        "proposals",
        "find object proposals by selective search, or by the network of a run, and keep them",
        "keras-frcnn proposals --data photos/ --split trainval",
    )
    _add_data(sub)
    add_proposals(sub)
    _add_processes(sub)

    sub = command(
        "recall",
        "compare how many objects the proposals of several sources find",
        "keras-frcnn recall --data photos/ --split test --from runs/a runs/b --search fast "
        "--out recall",
    )
    _add_data(sub)
    add_recall(sub)
    _add_processes(sub)

    sub = command(
        "anchors",
        "tell what anchors have to learn from in a data set, and suggest scales of them",
        "keras-frcnn anchors --data photos/ --split train --min-side 480 --max-side 800",
    )
    _add_data(sub, classes=False)
    sub.add_argument(
        "--out", metavar="FILE", help="picture of the anchors on a photograph to write"
    )
    add_settings(sub, ("anchor_scales", "anchor_ratios", "min_side", "max_side", "trunk"))

    sub = command(
        "train",
        "train a detector; finds missing proposals first",
        "keras-frcnn train --data photos/ --split trainval --out runs/photos",
    )
    _add_data(sub, required=False, fractions=False)
    _add_processes(sub)
    add_training(sub)

    sub = command(
        "recipes",
        "list the recipes, or show one with its settings, result and time",
        "keras-frcnn recipes vgg16-voc07",
    )
    sub.add_argument("name", metavar="NAME", nargs="?", help="the recipe to show")

    sub = command(
        "evaluate",
        "AP by the rules of Pascal VOC and of COCO, of a run or of detections from elsewhere",
        "keras-frcnn evaluate runs/photos --data photos/ --split test",
    )
    _add_tested(sub)
    sub.add_argument("--voc-results", metavar="DIR", help="also write the devkit's result files")
    sub.add_argument("--coco-results", metavar="FILE", help="also write COCO's result list")
    sub.add_argument(
        "--out", metavar="DIR", help="of --detections: folder for metrics.json and the curves"
    )

    sub = command(
        "errors",
        "tell what goes wrong: errors by kind and class, what each costs, the worst as pictures",
        "keras-frcnn errors runs/photos --data photos/ --split test --out errors",
    )
    _add_tested(sub)
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for tables and pictures")
    sub.add_argument(
        "--pictures",
        type=int,
        metavar="N",
        default=12,
        help="errors of each kind to draw, 0 for none (%(default)s)",
    )

    sub = command(
        "report",
        "write one HTML file with all there is to see of a run, or of two side by side",
        "keras-frcnn report runs/photos --data photos/ --split test",
    )
    _add_tested(sub)
    sub.add_argument("other", metavar="RUN2", nargs="?", help="another run, to compare with")
    sub.add_argument(
        "--out",
        metavar="FILE",
        help="HTML file to write (default: report.html in RUN, or 'compared with RUN2.html')",
    )
    sub.add_argument(
        "--images",
        type=int,
        metavar="N",
        default=500,
        help="the worst images to show; 500 make a file of about 10 MB (%(default)s)",
    )

    sub = command(
        "options",
        "compare choices at test time: number of proposals, flip, scales, suppression, regression",
        "keras-frcnn options runs/photos --data photos/ --split test --out options",
    )
    _add_run(sub)
    _add_metric(sub)
    _add_data(sub, classes=False, required=False)
    _add_run_proposals(sub)
    _add_processes(sub)
    sub.add_argument("--out", required=True, metavar="DIR", help="folder for table and picture")

    sub = command(
        "detect",
        "find objects in images, draw and list them; exit status 1 where a file cannot be read",
        "keras-frcnn detect runs/photos a.jpg holiday/ 'more/**/*.png' --out found",
    )
    _add_run(sub)
    sub.add_argument("images", metavar="IMAGE", nargs="+", help=IMAGES_HELP)
    sub.add_argument("--out", required=True, help="folder for pictures and lists of detections")
    add_max_pixels(sub)
    add_min_score(sub)
    _add_run_proposals(sub, ("search", "search_side"))
    add_test_options(sub)

    sub = command(
        "export",
        "write a SavedModel that runs without this package",
        "keras-frcnn export runs/photos --to models/photos",
    )
    _add_run(sub)
    add_export(sub)

    sub = command(
        "serving",
        "write the files that serve an export by TensorFlow Serving (docs/serving.md)",
        "keras-frcnn serving --to serving",
    )
    add_serving(sub)

    sub = command(
        "client",
        "find objects in images by asking a server that runs an export",
        "keras-frcnn client a.jpg b.png --url http://localhost:8501/v1/models/detector",
    )
    add_client(sub)

    sub = command(
        "ablate",
        "run an experiment of the paper: train variants of a recipe and compare them",
        "keras-frcnn ablate multi-task --recipe squeezenet-voc07-subset --out runs/multi-task",
    )
    _add_ablation(sub)

    sub = command(
        "beam",
        "proposals, detections and AP of any number of images on Apache Beam (docs/bulk.md)",
        "keras-frcnn beam proposals --input 'gs://bucket/*.jpg' --output gs://bucket/proposals",
    )
    add_beam(sub)

    sub = command("bench", "measure the speed of a part", "keras-frcnn bench roi-pool")
    benchmarks = (
        "roi-pool roi-align train detect proposals faster-rcnn svd evaluate large-data bulk".split()
    )
    sub.add_argument("name", choices=benchmarks, help="what to measure")
    sub.add_argument("args", nargs=argparse.REMAINDER, help="arguments of the benchmark")
    return parser


def _add_ablation(sub) -> None:
    sub.add_argument(
        "name",
        metavar="NAME",
        help="multi-task, scales, proposals (their number) or finetune-depth",
    )
    sub.add_argument("--recipe", required=True, help="what to vary: keras-frcnn recipes")
    sub.add_argument("--out", required=True, help="folder for runs, table and plot")
    _add_data(sub, classes=False, required=False, fractions=False)
    sub.add_argument("--test-split", help="split to test on (the recipe's)")
    _add_processes(sub)
    add_settings(
        sub.add_argument_group("settings of all variants, in place of the recipe's"),
        tuple(key for key in KEYS if key != "proposals"),
    )
    sub.set_defaults(resume=False)  # of `train`: what is finished is never trained again here


def _add_tested(sub) -> None:
    """A run or detections from a file, and the data that they are tested on."""
    _add_run(sub, nargs="?")
    sub.add_argument(
        "--detections",
        metavar="FILE",
        help="instead of RUN: detections from elsewhere, as a folder of VOC's result files, COCO's "
        "result list, or detections.json or .csv of this program",
    )
    _add_metric(sub)
    _add_data(sub, classes=False, required=False)
    _add_run_proposals(sub)
    add_test_options(sub)
    _add_processes(sub)


def _add_metric(sub) -> None:
    sub.add_argument(
        "--metric",
        choices=("area", "11point"),
        help="AP by the area under the curve (VOC 2010 and later) or at 11 points (VOC 2007); "
        "default: the recipe's, else 11point for voc/2007 and area for others",
    )


def _add_run(sub, nargs=None) -> None:
    add_settings(sub, ("max_detections", "proposals_test"))
    sub.add_argument("run_dir", metavar="RUN", nargs=nargs, help="run directory of a training")
    sub.add_argument(
        "--best",
        action="store_true",
        help="take the model with the highest mAP in validation rather than the newest",
    )


def _add_data(sub, classes=True, required=True, fractions=True, split=True) -> None:
    sub.add_argument(
        "--data",
        required=required,
        help=DATA_HELP + ("" if required else "; default: the recipe's"),
    )
    if split:
        sub.add_argument(
            "--split",
            help="split, such as trainval or test; unions of TFDS splits are written into --data: "
            "voc/2007:trainval+voc/2012:trainval",
        )
    if classes:
        sub.add_argument(
            "--classes", help="class names, separated by commas (default: those of the annotations)"
        )
    if fractions:  # of a command whose options are not all settings, which have it
        add_settings(sub, ("fractions",))
    sub.add_argument("--data-dir", help="where TensorFlow Datasets keeps its data")


def _add_run_proposals(sub, keys=PROPOSAL_KEYS) -> None:
    """How proposals are found, where that is not to be as the run has it."""
    add_settings(sub.add_argument_group("proposals, in place of the run's own"), keys)


def _add_processes(sub) -> None:
    sub.add_argument("--processes", type=int, help="processes for the search (default: all cores)")
