"""Categorize products with the trained Keras networks themselves: no export, no server. A process of its own, for TensorFlow's sake.

    python in_process_network.py RUN < products.json > probabilities.json

Products come as `[{"title": str | null, "picture": base64 | null}, ...]`; a list of probabilities a product goes out.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import numpy as np

from aisle_training.preprocessing.images import decode_image
from aisle_training.preprocessing.titles import TitleTokenizer
from aisle_training.runs import RunFolder


def main() -> None:
    """Read, predict, write."""
    run = RunFolder(Path(sys.argv[1]))
    products = json.load(sys.stdin)
    recipe = run.recipe()
    size = recipe.modalities["image"].picture_size
    blank = np.zeros((size, size, 3), np.uint8)
    pixels = [decode_image(base64.b64decode(p["picture"]), size) if p["picture"] else blank for p in products]
    tokenizer = TitleTokenizer.load(run.path / "title_tokenizer.json", recipe.modalities["title"].token_ids)
    image = run.load_classifier("image_classifier")(np.stack(pixels))
    title = run.load_classifier("title_classifier")(tokenizer.encode([p["title"] or "" for p in products]))
    fusion = run.load_classifier("fusion_classifier")
    probabilities = fusion(
        {
            "IMAGE_EMBEDDING": np.asarray(image["EMBEDDING"]),
            "TITLE_EMBEDDING": np.asarray(title["EMBEDDING"]),
            "IMAGE_PRESENT": np.array([[float(bool(p["picture"]))] for p in products], np.float32),
            "TITLE_PRESENT": np.array([[float(bool(p["title"]))] for p in products], np.float32),
        }
    )
    values = probabilities["PROBABILITIES"] if isinstance(probabilities, dict) else probabilities
    json.dump(np.asarray(values).tolist(), sys.stdout)


if __name__ == "__main__":
    main()
