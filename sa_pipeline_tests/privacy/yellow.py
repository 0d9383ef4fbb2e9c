"""A network in ONNX, built of operators, that finds the one yellow rectangle of a picture."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 256


def write_yellow_finder(path: Path) -> Path:
    """Writes a network with the input (1, 3, 256, 256) and the output (1, 7): image, X0, Y0, X1, Y1, class, score."""
    constants = {
        "weights": np.array([1, 1, -2], np.float32).reshape(1, 3, 1, 1),
        "threshold": np.array(1.2, np.float32),
        "one": np.array([1], np.float32),
        "zero": np.array([0], np.float32),
        "flat": np.array([1], np.int64),
        "channel": np.array([1], np.int64),
        "down": np.array([2], np.int64),
        "across": np.array([3], np.int64),
        "all": np.array([0, 1, 2, 3], np.int64),
        "row": np.array([1, 7], np.int64),
        "line": np.array([SIDE], np.int64),
    }
    nodes = [
        helper.make_node("Mul", ["images", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "channel"], ["yellowness"], keepdims=1),
        helper.make_node("Greater", ["yellowness", "threshold"], ["is_yellow"]),
        helper.make_node("Cast", ["is_yellow"], ["yellow"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["yellow", "all"], ["any"], keepdims=0),
        helper.make_node("Reshape", ["any", "flat"], ["score"]),
    ]
    for name, axis in (("x", "down"), ("y", "across")):
        nodes += [
            helper.make_node("ReduceMax", ["yellow", axis], [f"{name}_profile"], keepdims=0),
            helper.make_node("Reshape", [f"{name}_profile", "line"], [f"{name}_line"]),
            helper.make_node("ArgMax", [f"{name}_line"], [f"{name}_first"], axis=0, keepdims=1),
            helper.make_node("ArgMax", [f"{name}_line"], [f"{name}_last"], axis=0, keepdims=1, select_last_index=1),
            helper.make_node("Cast", [f"{name}_first"], [f"{name}0"], to=TensorProto.FLOAT),
            helper.make_node("Cast", [f"{name}_last"], [f"{name}_end"], to=TensorProto.FLOAT),
            helper.make_node("Add", [f"{name}_end", "one"], [f"{name}1"]),
        ]
    parts = ["zero", "x0", "y0", "x1", "y1", "zero", "score"]
    nodes += [
        helper.make_node("Concat", parts, ["flat_row"], axis=0),
        helper.make_node("Reshape", ["flat_row", "row"], ["found"]),
    ]
    graph = helper.make_graph(
        nodes,
        "yellow",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, SIDE, SIDE))],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, (1, 7))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
