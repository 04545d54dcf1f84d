import json

import pytest

from keras_frcnn.bulk.plan import JOB, Job, Shard, cut, digest_of, listed
from keras_frcnn.errors import InputError


def test_a_sorted_list_is_cut_into_shards_of_so_many():
    assert cut(["c", "a", "b", "e", "d"], 2) == [
        Shard(0, 3, ("a", "b")),
        Shard(1, 3, ("c", "d")),
        Shard(2, 3, ("e",)),
    ]
    assert cut(["a", "b"], 2) == [Shard(0, 1, ("a", "b"))]


@pytest.mark.parametrize(
    ("paths", "per_shard", "message"),
    [
        ([], 2, "no images"),
        (["a"], 0, "at least 1"),
        (["b", "a", "b"], 2, "b: is listed twice"),
        (["a\udcff"], 2, "UTF-8"),
    ],
)
def test_what_cannot_be_cut_is_named(paths, per_shard, message):
    with pytest.raises(InputError, match=message):
        cut(paths, per_shard)


def test_the_digest_is_of_the_images_in_their_order_and_not_of_the_cut():
    one, other = digest_of(cut(list("abc"), 1)), digest_of(cut(list("abc"), 2))
    assert one == other
    assert one != digest_of(cut(["ab", "c"], 1))


def test_a_list_has_a_path_a_line():
    content = "\ufeffa.jpg\r\nb c\u2028.jpg\n\n".encode()
    assert listed(content, "l.txt") == ["a.jpg", "b c\u2028.jpg"]
    with pytest.raises(InputError, match=r"l\.txt: is no list"):
        listed(b"\xff\xfe\xff", "l.txt")


JOB_A = Job("proposals", 5, "digest", 2, "search")


def check(job, there):
    content = there if isinstance(there, bytes) else there.to_json()
    return job.check("out", {JOB}, lambda name: {JOB: content}[name])


def test_a_folder_is_of_the_same_job_or_of_none():
    assert check(JOB_A, JOB_A)
    assert not JOB_A.check("out", {"notes.txt", "detections-00000-of-00001.jsonl"}, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "detections"}, "another kind: 'proposals', not 'detections'"),
        ({"images": 6}, "another number of images: 5, not 6"),
        ({"images_sha256": "x"}, "other images"),
        ({"images_per_shard": 3}, "shards of another number of images: 2, not 3"),
        ({"method": "y"}, "another method or model: 'search', not 'y'"),
    ],
)
def test_another_job_is_refused(change, message):
    other = Job(**{**json.loads(JOB_A.to_json()), **change})
    with pytest.raises(InputError, match=f"^out: holds .*{message}"):
        check(other, JOB_A)


def test_shards_without_a_job_and_damaged_jobs_are_refused():
    with pytest.raises(InputError, match=r"out: holds shards but no job\.json"):
        JOB_A.check("out", {"proposals-00000-of-00001.parquet"}, None)
    for content in (b"", b"[]", b'{"kind": "proposals"}', b"\xff"):
        with pytest.raises(InputError, match=r"out: job\.json: is damaged"):
            check(JOB_A, content)


def test_what_is_missing():
    shards = cut(list("abcde"), 2)
    there = {"proposals-00001-of-00003.parquet", "proposals-00000-of-00002.parquet"}
    assert [s.number for s in JOB_A.missing(shards, there)] == [0, 2]
