"""That the requests that are timed are those of a server, all of them, and as many at once."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from keras_frcnn.benchmarks.detect_serving import PROPOSALS, SIZE, load_calls
from keras_frcnn.benchmarks.detect_steps import CALLERS, DECODED, IMAGES, SERVED, Calls


@pytest.mark.parametrize("callers", CALLERS)
@pytest.mark.parametrize("what", [SERVED, DECODED])
def test_calls(what, callers):
    asked, threads = [], set()

    def answer(**inputs):
        asked.append(inputs)
        threads.add(threading.get_ident())
        return {"asked": tf.constant(len(asked))}

    signature = {SERVED: "serving_default", DECODED: "detect_pixels"}[what]
    run = load_calls({signature: answer})[Calls(what, callers)]
    assert set(run()) == {"asked"}
    assert len(asked) == IMAGES and 1 <= len(threads) <= callers
    assert asked[0]["proposals"].shape == (1, PROPOSALS, 4)
    if what == SERVED:
        (image,) = (tf.io.decode_jpeg(file) for file in asked[0]["image_bytes"])
    else:
        (image,) = asked[0]["images"]
    assert image.shape == (*SIZE, 3) and np.ptp(image) > 100
