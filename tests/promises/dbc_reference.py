"""The reference of dbc_parity.rs: the same frames and values through cantools.

    python dbc_reference.py FOLDER

Reads FOLDER/random.dbc and FOLDER/cases.json. Prints how many frames and signals were compared, and what differs.
"""
import json
import math
import os
import sys

import cantools


def same(a, b):
    return math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-12)


def main(folder):
    with open(os.path.join(folder, "cases.json"), encoding="utf-8") as file:
        cases = json.load(file)
    database = cantools.database.load_file(os.path.join(folder, "random.dbc"), strict=True)
    decoded = encoded = 0
    wrong = []
    for case in cases:
        message = database.get_message_by_name(case["message"])
        assert message.frame_id == case["id"], case
        ours = case["decoded"]
        try:
            theirs = message.decode(bytes.fromhex(case["data"]), decode_choices=False)
        except cantools.database.errors.DecodeError:
            # A multiplexer value that selects nothing: cantools refuses the frame, we give what is not multiplexed.
            theirs = None
        if theirs is not None:
            decoded += len(theirs)
            if set(theirs) != set(ours) or not all(same(theirs[name], ours[name]) for name in theirs):
                wrong.append({"case": case, "cantools_decoded": theirs})
        try:
            data = message.encode(case["values"], padding=False, strict=False)
        except cantools.database.errors.EncodeError:
            continue
        encoded += len(case["values"])
        if data.hex() != case["encoded"]:
            wrong.append({"case": case, "cantools_encoded": data.hex()})
    print(json.dumps({"frames": len(cases), "decoded": decoded, "encoded": encoded, "wrong": wrong}))


main(sys.argv[1])
