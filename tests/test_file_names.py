import os

import pytest

from keras_frcnn.file_names import file_names, printable


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("café 自転車\u3000.jpg", "café 自転車\u3000.jpg"),
        (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"),
        ("two\nlines\t.jpg", r"two\nlines\t.jpg"),
        ("a\x1b[31m", r"a\x1b[31m"),
    ],
)
def test_printable(name, text):
    assert printable(name) == text
    assert text.encode()


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("potted plant", "potted plant"),
        ("Roof Window, öffenbar", "Roof Window, öffenbar"),
        ("Chimney/Ventilation_Pipe", "Chimney_Ventilation_Pipe"),
        ("..", "_"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\tb\nc\0d\x1be", "a_b_c_d_e"),
        ("\u202egnp.exe", "_gnp.exe"),
        ('a\\b:c*d?e"f<g>h|i', "a_b_c_d_e_f_g_h_i"),
        ("", "_"),
        ("\ud800", "_"),
    ],
)
def test_file_names(name, safe):
    assert file_names([name]) == [safe]


def test_file_names_are_different(tmp_path):
    names = file_names(["a/b", "a_b", "A_B", "a:b", "cat", "x" * 400, "x" * 500, "é" * 300])
    assert names[:5] == ["a_b", "a_b_2", "A_B_3", "a_b_4", "cat"]
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        (tmp_path / f"comp3_det_test_{name}.txt").touch()
