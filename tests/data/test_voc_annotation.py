import pytest

from keras_frcnn.data.voc_annotation import read_annotation, tidy_name
from keras_frcnn.errors import InputError
from tests.data.voc_files import xml, xml_object


def read(tmp_path, content):
    (tmp_path / "a.xml").write_bytes(content)
    return read_annotation(tmp_path / "a.xml")


@pytest.mark.parametrize(
    ("name", "declared", "codec"),
    [
        ("vélo", None, "utf-8"),
        ("vélo", "utf8", "utf-8"),  # Python's name, which is not XML's
        ("vélo", "UTF8", "utf-8-sig"),
        ("vélo", "latin-1", "latin-1"),
        ("vélo", "cp1252", "cp1252"),
        ("自転車", "shift_jis", "shift_jis"),
        ("自行车", "GBK", "gbk"),
        ("自行车", "gb2312", "gb2312"),
        ("자전거", "euc-kr", "euc-kr"),
        ("vélo", "utf-16", "utf-16"),
        ("vélo", "utf-16", "utf-8"),  # what .NET writes of a text in memory
        ("vélo", None, "utf-16"),
        ("vélo", None, "utf-32"),
    ],
)
def test_encodings(tmp_path, name, declared, codec):
    declaration = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    content = (declaration + xml(xml_object(name))).encode(codec)
    assert [obj.class_name for obj in read(tmp_path, content).objects] == [name]


@pytest.mark.parametrize(
    ("declaration", "codec", "said"),
    [
        ("", "latin-1", r"is not in utf-8, the default of XML .* save it as UTF-8"),
        ('<?xml version="1.0" encoding="utf-8"?>', "cp1252", r"not in utf-8, as it declares"),
        ('<?xml version="1.0" encoding="utf8"?>', "latin-1", r"not in utf8, as it declares"),
        ('<?xml version="1.0" encoding="klingon"?>', "utf-8", r"klingon.*save it as UTF-8"),
        ('<?xml version="1.0" encoding="punycode"?>', "utf-8", r"no encoding of XML"),
        ('<?xml version="1.0" encoding="hex"?>', "utf-8", r"not a text encoding"),
    ],
)
def test_encodings_that_cannot_be_read_say_what_to_do(tmp_path, declaration, codec, said):
    content = (declaration + xml(xml_object("vélo"))).encode(codec)
    with pytest.raises(InputError, match=r"a\.xml: .*" + said):
        read(tmp_path, content)


@pytest.mark.parametrize("start", ["\n \n", "\ufeff", "\ufeff\n", ""])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_what_comes_before_the_declaration(tmp_path, start, version):
    text = f'{start}<?xml version="{version}" encoding="utf-8"?>{xml(xml_object("vélo"))}'
    assert read(tmp_path, text.encode()).objects[0].class_name == "vélo"


def test_entities_in_an_encoding_that_expat_does_not_know_are_refused(tmp_path):
    bomb = '<?xml version="1.0" encoding="utf8"?><!DOCTYPE a [<!ENTITY b "c">]><annotation/>'
    with pytest.raises(InputError, match="declares XML entities"):
        read(tmp_path, bomb.encode())


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("fire\n      extinguisher", "fire extinguisher"),
        ("\tfire \r\n extinguisher ", "fire extinguisher"),
        ("ve\u0301lo", "vélo"),  # as a Mac may write it
        ("Chimney/Ventilation_Pipe", "Chimney/Ventilation_Pipe"),
    ],
)
def test_a_class_has_one_name_on_one_line(tmp_path, written, name):
    assert tidy_name(written) == name
    (obj,) = read(tmp_path, xml(xml_object(written)).encode()).objects
    assert obj.class_name == name


def test_names_that_cannot_be_opened_are_named(tmp_path):
    (tmp_path / "folder.xml").mkdir()
    (tmp_path / "link.xml").symlink_to(tmp_path / "nowhere.xml")
    for name, reason in (("folder", "Is a directory"), ("link", "No such file")):
        with pytest.raises(InputError, match=rf"{name}\.xml: cannot be read \({reason}"):
            read_annotation(tmp_path / f"{name}.xml")
    with pytest.raises(InputError, match=r"cannot be read \(File name too long\)"):
        read_annotation(tmp_path / f"{'x' * 300}.xml")
