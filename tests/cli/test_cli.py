"""The commands as a user runs them, on a folder in VOC format with a handful of images."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_frcnn.cli.__main__ import main
from keras_frcnn.files import cache_dir
from keras_frcnn.recipes import RECIPES
from keras_frcnn.runs.directory import load_detector
from tests.cli.arguments import error_of, train_arguments


def test_evaluate_writes_metrics(run, voc_folder, capsys):
    assert main(["evaluate", str(run), "--data", str(voc_folder), "--split", "test"]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(metrics["AP"]) == {"box", "disc"} and 0 <= metrics["mAP"] <= 1
    assert "mAP" in capsys.readouterr().out


def test_best_model_is_evaluated_as_in_training(run, voc_folder):
    best = json.loads((run / "best.json").read_text())
    validated = (run / "validation.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in validated] == ["step", "3", "4"]
    data = ["--data", str(voc_folder), "--split", "test"]
    assert main(["evaluate", str(run), *data, "--best"]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["mAP"] == pytest.approx(best["mAP"], abs=1e-6)
    assert metrics["data"] == best["data"] and metrics["AP"].keys() == best["AP"].keys()
    assert Image.open(run / "precision_recall.png").size[0] > 400  # panels of two classes


def test_detect_draws_and_lists(run, voc_folder, tmp_path):
    images = [str(voc_folder / "JPEGImages" / f"{i}.jpg") for i in (4, 5)]
    assert main(["detect", str(run), *images, "--out", str(tmp_path / "found")]) == 0
    listed = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert list(listed) == images
    for entry in (e for found in listed.values() for e in found):
        assert entry["class"] in ("box", "disc") and len(entry["box"]) == 4
    assert Image.open(tmp_path / "found" / "4.png").size == (128, 96)


def test_detect_keeps_images_of_one_name_apart(run, voc_folder, tmp_path):
    source = voc_folder / "JPEGImages" / "4.jpg"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "4.jpg").write_bytes(source.read_bytes())
    images = [str(tmp_path / name / "4.jpg") for name in ("a", "b")]
    assert main(["detect", str(run), *images, "--out", str(tmp_path / "found")]) == 0
    assert len(list((tmp_path / "found").glob("*.png"))) == 2


def test_export(run, tmp_path):
    assert main(["export", str(run), "--to", str(tmp_path / "models")]) == 0
    assert (tmp_path / "models" / "1" / "saved_model.pb").is_file()
    options = ["--svd", "fc6=8", "--max-pixels", "1000000", "--max-proposals", "500"]
    options += ["--precision", "bfloat16"]
    assert main(["export", str(run), "--to", str(tmp_path / "models"), *options]) == 0
    model = json.loads((tmp_path / "models" / "2" / "assets.extra" / "model.json").read_text())
    assert model["export"] == {
        "ops": "portable",
        "precision": "bfloat16",
        "svd": {"fc6": 8},
        "max_pixels": 1_000_000,
        "max_proposals": 500,
    }
    assert model["training"]["trunk"] == "tiny"
    assert main(["export", str(run), "--to", str(tmp_path / "models"), "--version", "1"]) == 2


def test_resume_goes_on(run, voc_folder, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    assert main(["train", *train_arguments(voc_folder, copy, steps=6), "--resume"]) == 0
    assert "6 steps" in capsys.readouterr().out


def test_the_training_list_is_the_default_split(run, voc_folder, tmp_path, capsys):
    arguments = [a for a in train_arguments(voc_folder, tmp_path / "run", steps=1)]
    at = arguments.index("--split")
    del arguments[at : at + 2]
    assert main(["train", *arguments]) == 0
    assert "training on its split trainval" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "config.json").read_text())["split"] == "trainval"


def test_the_limit_of_detections_is_kept_with_the_run_and_said(run, voc_folder, tmp_path, capsys):
    data = ["--data", str(voc_folder), "--split", "test"]
    copy = shutil.copytree(run, tmp_path / "run")
    detections = ["detect", str(copy), str(voc_folder / "JPEGImages" / "4.jpg"), "--out"]
    assert main(["evaluate", str(copy), *data, "--max-detections", "1"]) == 0
    assert "2 of 2 images have 1 detections, the most" in capsys.readouterr().err
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "max_detections": 1}))
    assert main([*detections, str(tmp_path / "found")]) == 0
    assert "4.jpg: has 1 detections, the most" in capsys.readouterr().err
    assert main(["export", str(copy), "--to", str(tmp_path / "models")]) == 0
    model = json.loads((tmp_path / "models" / "1" / "assets.extra" / "model.json").read_text())
    assert model["detector"]["max_detections"] == 1


def test_evaluating_on_training_images_is_said(run, voc_folder, capsys):
    data = ["--data", str(voc_folder), "--split"]
    assert main(["evaluate", str(run), *data, "trainval"]) == 0
    assert "4 of its 4 images are among those" in capsys.readouterr().err
    assert main(["evaluate", str(run), *data, "test"]) == 0
    assert "among those" not in capsys.readouterr().err


def test_a_run_goes_on_with_its_data_elsewhere_but_not_with_others(
    run, voc_folder, tmp_path, monkeypatch, capsys
):
    copy, moved = shutil.copytree(run, tmp_path / "run"), tmp_path / "moved"
    shutil.copytree(voc_folder, moved)
    monkeypatch.chdir(tmp_path)
    go_on = ["train", "--out", "run", "--resume", "--data", "moved"]
    assert main([*go_on, "--steps", "5"]) == 0
    annotation = moved / "Annotations" / "1.xml"
    annotation.write_text(annotation.read_text().replace("<xmax>", "<xmax>1"))
    error = error_of([*go_on, "--steps", "6"], capsys)
    assert "1.jpg has other objects" in error and "--changed-data" in error
    assert json.loads((copy / "config.json").read_text())["steps"] == 5
    assert main([*go_on, "--steps", "6", "--changed-data"]) == 0


def test_proposals_are_found_as_in_training(run, voc_folder, tmp_path, monkeypatch, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    config = json.loads((copy / "config.json").read_text())
    config |= {"search": "quality", "search_side": 60}
    (copy / "config.json").write_text(json.dumps(config))
    used = []

    def find(dataset, method, processes):
        used.append(method)
        return [np.array([[5, 5, 60, 60]], np.float32)] * len(dataset.images)

    monkeypatch.setattr("keras_frcnn.proposals.find.find_proposals", find)
    data = ["--data", str(voc_folder), "--split", "test"]
    assert main(["evaluate", str(copy), *data]) == 0
    assert main(["evaluate", str(copy), *data, "--search", "fast"]) == 0
    assert [(m.mode, m.max_side) for m in used] == [("quality", 60), ("fast", 60)]
    # Found in another way, they are not those that the training began with.
    error = error_of(["train", "--out", copy, "--resume", "--steps", "9"], capsys)
    assert "has other proposals" in error
    error = error_of(["train", "--out", copy, "--resume", "--search", "fast"], capsys)
    assert "search (run: quality, now: fast)" in error


def test_a_run_remembers_imported_proposals(run, voc_folder, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    np.savez(tmp_path / "boxes.npz", **{"4": np.array([[5, 5, 60, 60]], np.float32)})
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(
        json.dumps({**config, "proposals": str(tmp_path / "boxes.npz")})
    )
    error = error_of(["evaluate", copy, "--data", voc_folder, "--split", "test"], capsys)
    assert "boxes.npz: has no proposals for 5.jpg" in error
    image = voc_folder / "JPEGImages" / "4.jpg"
    assert main(["detect", str(copy), str(image), "--out", str(tmp_path / "found")]) == 0
    assert "found by selective search (fast)" in capsys.readouterr().err


def test_imported_proposals_and_result_files(run, voc_folder, tmp_path):
    boxes = np.array([[5, 5, 60, 60], [20, 10, 90, 70]], np.float32)
    np.savez(tmp_path / "boxes.npz", **{"4": boxes, "5": boxes})
    options = ["--proposals", str(tmp_path / "boxes.npz"), "--metric", "11point"]
    options += ["--voc-results", str(tmp_path / "results")]
    data = ["--data", str(voc_folder), "--split", "test"]
    assert main(["evaluate", str(run), *data, *options]) == 0
    assert json.loads((run / "metrics.json").read_text())["metric"] == "11point"
    assert (tmp_path / "results" / "comp3_det_test_disc.txt").is_file()


def test_ablate_writes_table_and_picture(voc_folder, cache, tmp_path, capsys):
    settings = "--weights none --fc-units 16,16 --min-side 64 --max-side 100 --rois-per-image 16"
    arguments = ["--recipe", "squeezenet-voc07-subset", *settings.split(), "--steps", "2"]
    arguments += ["--data", str(voc_folder), "--out", str(tmp_path / "out")]
    assert main(["ablate", "proposals", *arguments]) == 0
    assert (tmp_path / "out" / "recipe" / "config.json").is_file()
    assert {p.name for p in (tmp_path / "out").glob("proposals.*")} == {
        f"proposals.{suffix}" for suffix in ("csv", "md", "png")
    }
    assert "'proposal' is unknown" in error_of(["ablate", "proposal", *arguments], capsys)


@pytest.mark.parametrize(
    "command",
    [
        *("demo", "proposals", "train", "recipes", "evaluate", "detect", "export", "serving"),
        *("client", "bench", "anchors"),
    ],
)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as exit:
        main([command, "--help"])
    assert exit.value.code == 0
    assert f"example: keras-frcnn {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["recipes", "vgg16-bccd"]])
def test_help_and_recipes_do_not_import_tensorflow(arguments):
    code = "import sys; from keras_frcnn.cli.__main__ import main\n"
    code += f"try: main({arguments})\nexcept SystemExit: pass\n"
    code += "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_training_says_nothing_but_its_own(voc_folder, tmp_path):
    (tmp_path / "ops").symlink_to(cache_dir() / "ops")  # the op is compiled already
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    # On a processor with nothing newer, TensorFlow has more to tell.
    environment |= {"KERAS_FRCNN_CACHE": str(tmp_path), "ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-m", "keras_frcnn.cli", "train"]
    done = subprocess.run(
        [*command, *train_arguments(voc_folder, tmp_path / "run", 1, "squeezenet")],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    proposals, step = done.stderr.splitlines()
    assert proposals.startswith("proposals: 4 images in ") and step.startswith("step 1/1, loss ")


def test_recipe_with_changes_is_saved_printed_and_resumed(voc_folder, cache, tmp_path, capsys):
    run = tmp_path / "run"
    tiny = "--weights none --fc-units 8,8 --min-side 64 --max-side 100 --steps 1"
    tiny += " --precision float32 --rois-per-image 16"
    recipe = ["--recipe", "squeezenet-voc07-subset", *tiny.split()]
    data = ["--data", str(voc_folder), "--split", "trainval"]
    assert main(["train", "--out", str(run), *recipe, *data]) == 0
    printed = capsys.readouterr().out
    assert "settings: recipe squeezenet-voc07-subset, with" in printed
    assert "--steps 1 (not 5000)" in printed and "warmup" not in printed
    config = json.loads((run / "config.json").read_text())
    assert config["recipe"] == "squeezenet-voc07-subset"
    assert (config["rois_per_image"], config["warmup"], config["weights"]) == (16, 300, None)

    # The run knows its settings and its data.
    assert main(["train", "--out", str(run), "--resume", "--steps", "2"]) == 0
    assert "trained for 2 steps" in capsys.readouterr().out
    assert json.loads((run / "config.json").read_text()) == {**config, "steps": 2}
    # Its recipe's test data is not that of the data it was trained on.
    assert "--data" in error_of(["evaluate", run], capsys)


def test_a_run_starts_from_another(run, voc_folder, tmp_path, capsys):
    arguments = ["train", "--from", str(run), "--data", str(voc_folder), "--split", "trainval"]
    tiny = "--rois-per-image 16 --steps 1 --rate 1e-9 --precision float32 --dropout 0".split()
    assert main([*arguments, *tiny, "--out", str(tmp_path / "new")]) == 0
    config = json.loads((tmp_path / "new" / "config.json").read_text())
    assert (config["trunk"], config["fc_units"]) == ("tiny", [16, 16])
    old, _ = load_detector(run)
    new, _ = load_detector(tmp_path / "new")
    for layer in new.model.layers:
        if hasattr(layer, "kernel"):  # the rate is too low to change anything
            expected = old.model.get_layer(layer.name).kernel
            np.testing.assert_allclose(layer.kernel, expected, atol=1e-6)
    error = error_of([*arguments, "--from", tmp_path, "--out", tmp_path / "x"], capsys)
    assert str(tmp_path) in error and not (tmp_path / "x").exists()


def test_recipes_are_listed_and_shown(capsys):
    assert main(["recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(RECIPES) and lines[0].startswith("vgg16-voc07 ")
    assert main(["recipes", "vgg16-voc07++12"]) == 0
    shown = capsys.readouterr().out
    assert "--recipe vgg16-voc07++12" in shown and "--decay-at 40000,80000" in shown
    assert "nearest is 'vgg16-bccd'" in error_of(["recipes", "vgg16-bcd"], capsys)


def test_resuming_without_the_validation_says_so(run, capsys):
    assert main(["train", "--resume", "--out", str(run)]) == 0
    assert "give --validate as then" in capsys.readouterr().err
