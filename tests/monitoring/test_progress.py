"""The progress of a run on a terminal and in a file, against times worked out by hand."""

import io

import keras

from keras_frcnn.monitoring.progress import Progress
from tests.terminal import Terminal

LOGS = {"loss": 1.25, "cls_score_loss": 1.0, "bbox_pred_loss": 0.25}


def begin(file, steps, done=0):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.005), "mse")
    model.optimizer.iterations.assign(done)
    progress = Progress(steps, images_per_batch=2, file=file)
    progress.set_model(model)
    progress.on_train_begin()
    return progress


def step(progress, clock, seconds):
    progress.on_train_batch_begin(0)
    clock.now += seconds
    progress.on_train_batch_end(0, LOGS)


def test_lines_where_there_is_no_terminal(clock):
    file = io.StringIO()
    progress = begin(file, steps=1000, done=600)
    progress.on_epoch_begin(6)
    step(progress, clock, 30)  # builds the graph: not a measure of the speed
    step(progress, clock, 3)
    step(progress, clock, 5)
    progress.on_epoch_end(6, LOGS)
    # Two steps of two images in 8 s; two steps took 8 s, 397 are left: 1588 s.
    assert file.getvalue() == (
        "step 603/1000, loss 1.250 (class 1.000, box 0.250), rate 0.005, 0.5 images/s, 26:28 left\n"
    )
    clock.now += 8  # a validation slows the run down, not the steps
    progress.on_epoch_begin(7)
    step(progress, clock, 1)
    step(progress, clock, 1)
    progress.on_epoch_end(7, LOGS)
    progress.on_train_end()
    # Two images a second; four steps took 18 s, 395 are left: 1777.5 s.
    assert file.getvalue().splitlines()[1].endswith("2 images/s, 29:37 left")
    assert file.getvalue().count("\n") == 2


def test_the_first_step_tells_nothing_of_the_speed(clock):
    file = io.StringIO()
    progress = begin(file, steps=1)
    progress.on_epoch_begin(0)
    step(progress, clock, 10)
    progress.on_epoch_end(0, LOGS)
    progress.on_train_end()
    assert file.getvalue().startswith("step 1/1, loss 1.250")


def test_a_bar_over_the_whole_run_on_a_terminal(clock):
    file = Terminal()
    progress = begin(file, steps=10, done=6)
    progress.on_epoch_begin(0)
    for _ in range(4):
        step(progress, clock, 2)
    progress.on_epoch_end(0, LOGS)
    progress.on_train_end()
    shown = file.getvalue().split("\r")
    assert " 60%|" in file.getvalue() and "6/10" in file.getvalue()
    assert "100%|" in shown[-1] and "10/10" in shown[-1] and "00:00 left" in shown[-1]
    assert "step 10/10" not in file.getvalue()  # the lines are for files
