"""The commands as a user runs them, on a folder in VOC format with a handful of images."""

import json
import os
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from keras_frcnn.cli.__main__ import main
from keras_frcnn.files import cache_dir
from keras_frcnn.recipes import RECIPES
from keras_frcnn.runs.directory import load_detector

OBJECT = (
    "<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin>"
    "<xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)


@pytest.fixture(scope="module")
def voc_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voc") / "my photos"
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(6):
        noise = rng.integers(90, 150, (96, 128, 3), dtype=np.uint8)
        image = Image.fromarray(noise)
        x, y = int(rng.integers(5, 60)), int(rng.integers(5, 30))
        name, color = (("disc", (220, 40, 40)), ("box", (40, 40, 220)))[i % 2]
        shape = ImageDraw.Draw(image).ellipse if name == "disc" else ImageDraw.Draw(image).rectangle
        shape((x, y, x + 50, y + 50), fill=color)
        image.save(folder / "JPEGImages" / f"{i}.jpg", quality=95)
        objects = OBJECT.format(x + 1, y + 1, x + 51, y + 51, name=name)
        (folder / "Annotations" / f"{i}.xml").write_text(
            f"<annotation><filename>{i}.jpg</filename><size><width>128</width>"
            f"<height>96</height><depth>3</depth></size>{objects}</annotation>"
        )
    (folder / "ImageSets/Main/trainval.txt").write_text("0\n1\n2\n3\n")
    (folder / "ImageSets/Main/test.txt").write_text("4\n5\n")
    (folder / "ImageSets/Main/empty.txt").write_text("\n")
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    # The compiled op stays where it is; only proposals go to a cache of the test's own.
    folder = tmp_path_factory.mktemp("proposals")
    patch.setattr("keras_frcnn.proposals.cache.make_cache_folder", lambda _: folder)
    yield
    patch.undo()


def train_arguments(voc_folder, run, steps=4):
    options = (
        "--split trainval --trunk squeezenet --fc-units 16,16 --min-side 64 --max-side 100 "
        f"--rois-per-image 16 --steps {steps} --rate 0.01 --precision float32"
    )
    return [*options.split(), "--data", str(voc_folder), "--out", str(run)]


@pytest.fixture(scope="module")
def run(voc_folder, cache, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "a run"
    assert main(["proposals", "--data", str(voc_folder)]) == 0
    validation = ["--validate", "test", "--validate-every", "3"]
    assert main(["train", *train_arguments(voc_folder, run), *validation]) == 0
    return run


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


def test_best_model_of_a_run_without_validation(run, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((run / "config.json").read_bytes())
    error = error_of(["export", tmp_path, "--to", tmp_path / "model", "--best"], capsys)
    assert "--validate" in error


def test_validation_split_that_does_not_exist(voc_folder, tmp_path, capsys):
    arguments = train_arguments(voc_folder, tmp_path / "run")
    error = error_of(["train", *arguments, "--validate", "vall"], capsys)
    assert "vall" in error and not (tmp_path / "run").exists()


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
    assert model["training"]["trunk"] == "squeezenet"
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
    assert "training on its list trainval" in capsys.readouterr().out
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


def error_of(arguments, capsys):
    assert main([str(a) for a in arguments]) == 2
    return capsys.readouterr().err


def test_detect_names_a_file_that_is_no_image(run, tmp_path, capsys):
    (tmp_path / "notes.jpg").write_text("not an image")
    error = error_of(["detect", run, tmp_path / "notes.jpg", "--out", tmp_path / "o"], capsys)
    assert "notes.jpg" in error


def test_an_image_too_large_is_refused_before_it_takes_memory(run, tmp_path, capsys):
    Image.new("1", (12_000, 12_000)).save(tmp_path / "white.png")
    assert (tmp_path / "white.png").stat().st_size < 30_000
    detect = ["detect", run, tmp_path / "white.png", "--out", tmp_path / "o"]
    assert "12000 x 12000 pixels; give --max-pixels" in error_of(detect, capsys)
    small = tmp_path / "small.png"
    Image.new("RGB", (40, 30)).save(small)
    arguments = ["detect", run, small, "--out", tmp_path / "o", "--max-pixels", "1199"]
    assert "40 x 30 pixels" in error_of(arguments, capsys)
    assert main([str(a) for a in [*arguments[:-1], "1200"]]) == 0


def test_empty_split(voc_folder, capsys):
    error = error_of(["proposals", "--data", voc_folder, "--split", "empty"], capsys)
    assert "empty" in error


def test_evaluate_on_other_classes(run, voc_folder, tmp_path, capsys):
    other = tmp_path / "other"
    shutil.copytree(voc_folder, other)
    annotation = other / "Annotations" / "4.xml"
    annotation.write_text(annotation.read_text().replace("disc", "cat"))
    error = error_of(["evaluate", run, "--data", other, "--split", "test"], capsys)
    assert "4.xml" in error and "cat" in error


def test_resume_on_another_split_is_refused(run, voc_folder, capsys):
    arguments = ["test" if a == "trainval" else a for a in train_arguments(voc_folder, run)]
    error = error_of(["train", *arguments, "--resume"], capsys)
    assert "0.jpg is gone (and 5 more changes)" in error and "--changed-data" in error


def test_training_into_an_existing_run_is_refused_before_the_search(run, voc_folder, capsys):
    arguments = train_arguments(voc_folder, run)
    error = error_of(["train", *arguments, "--proposals", "missing.npz"], capsys)
    assert "--resume" in error


def test_detect_never_draws_over_an_image(run, voc_folder, tmp_path):
    image = tmp_path / "4.png"
    Image.open(voc_folder / "JPEGImages" / "4.jpg").save(image)
    before = image.read_bytes()
    assert main(["detect", str(run), str(image), "--out", str(tmp_path)]) == 0
    assert image.read_bytes() == before
    assert (tmp_path / "4_.png").is_file()


def test_detect_keeps_what_it_found_before_a_bad_image(run, voc_folder, tmp_path, capsys):
    good, bad = voc_folder / "JPEGImages" / "4.jpg", tmp_path / "cut.jpg"
    bad.write_bytes(good.read_bytes()[:500])
    error = error_of(["detect", run, good, bad, "--out", tmp_path / "found"], capsys)
    assert "cut.jpg" in error
    assert list(json.loads((tmp_path / "found" / "detections.json").read_text())) == [str(good)]


def test_output_folder_that_cannot_be_made(run, voc_folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    image = voc_folder / "JPEGImages" / "4.jpg"
    assert "file" in error_of(["detect", run, image, "--out", tmp_path / "file"], capsys)


def test_demo_leaves_a_folder_that_is_not_its_own_alone(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    assert "run" in error_of(["demo", "--out", tmp_path], capsys)
    assert (tmp_path / "run" / "thesis.txt").read_text() == "mine"


def test_imported_proposals_and_result_files(run, voc_folder, tmp_path):
    boxes = np.array([[5, 5, 60, 60], [20, 10, 90, 70]], np.float32)
    np.savez(tmp_path / "boxes.npz", **{"4": boxes, "5": boxes})
    options = ["--proposals", str(tmp_path / "boxes.npz"), "--metric", "11point"]
    options += ["--voc-results", str(tmp_path / "results")]
    data = ["--data", str(voc_folder), "--split", "test"]
    assert main(["evaluate", str(run), *data, *options]) == 0
    assert json.loads((run / "metrics.json").read_text())["metric"] == "11point"
    assert (tmp_path / "results" / "comp3_det_test_disc.txt").is_file()


def test_impossible_setting_is_named(voc_folder, tmp_path, capsys):
    arguments = train_arguments(voc_folder, tmp_path / "run")
    error = error_of(["train", *arguments, "--steps", "0"], capsys)
    assert "steps" in error and not (tmp_path / "run").exists()


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
        *("client", "bench"),
    ],
)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as exit:
        main([command, "--help"])
    assert exit.value.code == 0
    assert f"example: keras-frcnn {command}" in capsys.readouterr().out


def test_a_terminal_without_the_letters_of_a_class_loses_no_file(run, voc_folder, tmp_path):
    other = tmp_path / "photos"
    shutil.copytree(voc_folder, other)
    for path in (other / "Annotations").iterdir():
        path.write_text(path.read_text().replace("disc", "d\u00efsc"), "utf-8")
    copy = shutil.copytree(run, tmp_path / "run")
    config = json.loads((copy / "config.json").read_text())
    config["class_names"] = ["box", "d\u00efsc"]
    (copy / "config.json").write_text(json.dumps(config))
    arguments = ["evaluate", copy, "--data", other, "--split", "test"]
    done = subprocess.run(
        [sys.executable, "-m", "keras_frcnn.cli", *arguments],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"d\\xefsc" in done.stdout
    assert set(json.loads((copy / "metrics.json").read_text("utf-8"))["AP"]) == {"box", "d\u00efsc"}


def test_a_closed_pipe_is_no_error():
    command = f"{shlex.quote(sys.executable)} -m keras_frcnn.cli recipes vgg16-bccd"
    command += " | true; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr
    assert done.stdout.strip() in ("0", "141")


@pytest.mark.parametrize("score", ["nan", "inf", "-0.1", "1.1", "high", "1e300"])
def test_scores_that_are_none_are_refused(score, capsys):
    for command in (["detect", "run"], ["client", "--url", "http://localhost/v1/models/d"]):
        with pytest.raises(SystemExit):
            main([*command, "a.jpg", "--out", "o", f"--min-score={score}"])
        assert "--min-score: must be a number from 0 to 1" in capsys.readouterr().err


def test_long_messages_are_cut(capsys):
    error = error_of(["recipes", "x" * 70_000], capsys)
    assert len(error) < 3000 and "nearest is" in error


def test_errors_of_the_system_are_one_line(run, capsys):
    error = error_of(["evaluate", "y" * 5000, "--data", "z"], capsys)
    assert error.count("\n") == 1 and "name too long" in error.lower()


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
        [*command, *train_arguments(voc_folder, tmp_path / "run", steps=1)],
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
    assert (config["trunk"], config["fc_units"]) == ("squeezenet", [16, 16])
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


def test_proposals_of_a_validation_that_nobody_asked_for(voc_folder, tmp_path, capsys):
    """Not a long training that is found at its end to have validated nothing."""
    arguments = [*train_arguments(voc_folder, tmp_path / "run"), "--validate-proposals", "x.npz"]
    assert "also give --validate SPLIT" in error_of(["train", *arguments], capsys)
    assert not (tmp_path / "run").exists()


def test_training_without_data_or_recipe(tmp_path, capsys):
    assert "--recipe" in error_of(["train", "--out", tmp_path / "run"], capsys)
