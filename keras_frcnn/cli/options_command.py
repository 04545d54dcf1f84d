"""`keras-frcnn options`: what choices at test time do to a run's accuracy and time.

OUT/options.md    the table: a row for each choice
OUT/options.csv   the same, to compute with
OUT/options.png   the mAP of each
"""

from pathlib import Path

from keras_frcnn.cli.run_inputs import detector_and_images
from keras_frcnn.evaluation.tables import format_markdown, write_csv
from keras_frcnn.evaluation.test_variants import compare_variants, variants_of
from keras_frcnn.file_names import printable
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.pictures.charts import bar_chart


def options(args) -> None:
    """Test every variant: print a table, write and draw it."""
    detector, images, metric = detector_and_images(args)
    if detector.needs_proposals:
        most = max(map(len, images.proposals), default=0)
    else:
        most = detector.options.test
    rows = compare_variants(detector, images, variants_of(detector, most), metric)
    out, dataset = Path(args.out), images.dataset
    make_folder(out)
    about = f"{len(dataset.images)} images of {dataset.name}"
    write_csv(out / "options.csv", rows)
    with replacing(out / "options.png") as partial:
        values = {str(row["test"]): float(row["mAP (VOC)"]) for row in rows}
        bar_chart("Choices at test time", "mAP", values).save(partial)
    table = format_markdown(rows)
    with replacing(out / "options.md") as partial:
        text = f"# Choices at test time\n\n{about}.\n\n{table}\n\n![mAP](options.png)\n"
        partial.write_text(text, "utf-8")
    print(f"{about}\n{table}\nwritten to {printable(str(out))}")
