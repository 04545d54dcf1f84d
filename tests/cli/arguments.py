"""Command lines of the tests, and what they print where they fail."""

from keras_frcnn.cli.__main__ import main


def train_arguments(voc_folder, run, steps=4, trunk="tiny"):
    options = (
        f"--split trainval --trunk {trunk} --fc-units 16,16 --min-side 64 --max-side 100 "
        f"--rois-per-image 16 --steps {steps} --rate 0.01 --precision float32"
    )
    return [*options.split(), "--data", str(voc_folder), "--out", str(run)]


def error_of(arguments, capsys):
    assert main([str(a) for a in arguments]) == 2
    return capsys.readouterr().err
