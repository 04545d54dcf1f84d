"""`keras-frcnn errors`: what goes wrong, how often, and what it costs.

OUT/errors.md      both tables: kinds, and kinds by class
OUT/errors.csv     a row a class, to compute with
OUT/errors.png     what the mAP would gain without each kind
OUT/KIND.png       the top errors of a kind
"""

from pathlib import Path

from keras_frcnn.cli.tested import tested
from keras_frcnn.errors import InputError
from keras_frcnn.evaluation.error_gains import error_gains
from keras_frcnn.evaluation.errors import find_errors
from keras_frcnn.evaluation.tables import format_markdown, write_csv
from keras_frcnn.file_names import printable
from keras_frcnn.files import make_folder, replacing
from keras_frcnn.inspection.error_tables import class_numbers, class_rows, csv_rows, error_rows
from keras_frcnn.inspection.top_errors import draw_top_errors
from keras_frcnn.pictures.charts import bar_chart


def errors(args) -> None:
    """Print and write the tables, draw the chart and the top errors."""
    if args.pictures < 0:
        raise InputError(f"--pictures is {args.pictures}; it must be at least 0")
    found = tested(args, with_proposals=True)
    dataset, out = found.images.dataset, Path(args.out)
    wrong = find_errors(found.detections, found.images)
    gains = error_gains(wrong, found.detections, dataset, found.metric)
    rows = error_rows(wrong, gains)
    by_class = class_numbers(wrong, gains, found.detections, dataset)
    make_folder(out)
    about = f"{len(dataset.images)} images of {dataset.name}, mAP {gains.mean_ap:.3f}"
    with replacing(out / "errors.png") as partial:
        title, quantity = "What mending a kind of error gains", f"mAP beyond {gains.mean_ap:.3f}"
        bar_chart(title, quantity, gains.mean).save(partial)
    write_csv(out / "errors.csv", csv_rows(by_class))
    drawn = []
    if args.pictures:
        pictures = draw_top_errors(wrong, found.detections, dataset, args.pictures)
        for kind, picture in pictures:
            with replacing(out / f"{kind}.png") as partial:
                picture.save(partial)
            drawn.append(kind)
    tables = f"{format_markdown(rows)}\n\nCount and gain in AP of each class:\n\n"
    tables += format_markdown(class_rows(by_class))
    shown = "".join(f"\n\n## {kind}\n\n![{kind}]({kind}.png)" for kind in drawn)
    with replacing(out / "errors.md") as partial:
        text = f"# Errors\n\n{about}.\n\n![gains](errors.png)\n\n{tables}{shown}\n"
        partial.write_text(text, "utf-8")
    print(f"{about}\n{tables}\nwritten to {printable(str(out))}")
