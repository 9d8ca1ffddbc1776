"""Opens an export with the field's own readers and prints what they count, as JSON. No code of ours reads the export."""
import contextlib
import json
import os
import sys
import tempfile


def coco(export):
    from pycocotools.coco import COCO

    counts = {}
    for split in ("train", "val"):
        with contextlib.redirect_stdout(sys.stderr):
            read = COCO(f"{export}/annotations/instances_{split}.json")
            scores = sum("score" in one for one in read.loadAnns(read.getAnnIds()))
        names = sorted(category["name"] for category in read.loadCats(read.getCatIds()))
        counts[split] = {
            "pictures": len(read.getImgIds()), "boxes": len(read.getAnnIds()), "scores": scores, "names": names,
        }
    return counts


def results(export):
    from pycocotools.coco import COCO

    counts = {}
    for split in ("train", "val"):
        with contextlib.redirect_stdout(sys.stderr):
            read = COCO(f"{export}/annotations/instances_{split}.json")
            loaded = read.loadRes(f"{export}/predictions/{split}.json")
        counts[split] = {"boxes": len(loaded.getAnnIds())}
    return counts


def datumaro(export, form):
    import datumaro

    counts = {}
    with contextlib.redirect_stdout(sys.stderr):
        read = datumaro.Dataset.import_from(export, form)
        for name, subset in read.subsets().items():
            items = list(subset)
            sizes = [item.media.data.shape[:2] for item in items]
            counts[name] = {
                "pictures": len(items),
                "boxes": sum(len(item.annotations) for item in items),
                "pixels": sum(height * width for height, width in sizes),
            }
    return counts


def fiftyone(export, form):
    # Its importers, which read the files; its database, where the pictures would be looked at, is not asked for.
    home = tempfile.mkdtemp()
    os.environ.update(FIFTYONE_DO_NOT_TRACK="true", FIFTYONE_CONFIG_PATH=f"{home}/config.json", HOME=home)
    counts = {}
    with contextlib.redirect_stdout(sys.stderr):
        for split in ("train", "val"):
            if form == "coco":
                from fiftyone.utils.coco import COCODetectionDatasetImporter

                importer = COCODetectionDatasetImporter(
                    data_path=f"{export}/images/{split}", labels_path=f"{export}/annotations/instances_{split}.json",
                    label_types="detections",
                )
            else:
                from fiftyone.utils.yolo import YOLOv5DatasetImporter

                importer = YOLOv5DatasetImporter(dataset_dir=export, yaml_path="data.yaml", split=split)
            boxes = pictures = 0
            with importer:
                for path, _, label in importer:
                    pictures += os.path.getsize(path) > 0
                    boxes += len(label.detections) if label else 0
            counts[split] = {"pictures": pictures, "boxes": boxes}
    return counts


def main():
    export, reader = sys.argv[1:3]
    found = {
        "coco": coco,
        "results": results,
        # By this name CVAT reads COCO, too.
        "datumaro-coco": lambda export: datumaro(export, "coco_instances"),
        "datumaro-yolo": lambda export: datumaro(export, "yolo"),
        "fiftyone-coco": lambda export: fiftyone(export, "coco"),
        "fiftyone-yolo": lambda export: fiftyone(export, "yolo"),
    }[reader](export)
    print(json.dumps(found))


main()
