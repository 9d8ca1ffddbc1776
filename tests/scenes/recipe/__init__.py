"""The training recipe: from a COCO dataset to a model that the runtime takes."""
