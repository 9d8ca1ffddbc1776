//! What an ONNX file says of itself, and a first manifest made from it.
