import shutil

import pytest

from tests.custom_ops import kernel_sweep


@pytest.mark.skipif(not shutil.which("c++"), reason="there is no C++ compiler")
def test_kernels_of_every_instruction_set_under_sanitizers():
    assert kernel_sweep.main(["--random", "20"]) == 0
